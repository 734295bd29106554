//! Gathers the facts of a host. Reads only; the one thing that it sends is a packet without
//! credentials to each configured RADIUS server.

mod command;
mod kernel;
mod network;
mod ppp;
mod root;

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use root::Root;

use super::facts::{Facts, Unseen};
use crate::time::Timestamp;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Another root than that of the running host.
    pub root: Option<PathBuf>,
    /// The source of the packets that the firewall is asked about.
    pub client: Option<Ipv4Addr>,
}

/// The root cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("--root {}: {error}", path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// The rulesets of the running host.
pub fn firewall() -> super::firewall::Firewall {
    network::firewall(&Root::host())
}

/// Gathers.
///
/// # Errors
/// The root does not exist or cannot be opened. Everything else that cannot be seen is a fact itself.
pub fn facts(options: &Options) -> Result<Facts, Error> {
    let root = match &options.root {
        None => Root::host(),
        Some(path) => Root::open(path).map_err(|error| Error { path: path.clone(), error })?,
    };
    let processes = network::processes(&root);
    let pptpd = ppp::pptpd(&root, &processes);
    let accel = ppp::accel(&root, &processes);
    let (ppp_options, ppp_unread) = ppp::options(&root, &pptpd);
    let pppd = ppp::pppd(&root, &pptpd, &ppp_options);
    let devices = if root.is_host() {
        crate::kernel::devices().map_err(|error| Unseen::Failed(error.to_string()))
    } else {
        Err(Unseen::OtherRoot)
    };
    let local: BTreeSet<Ipv4Addr> =
        devices.iter().flatten().flat_map(|device| &device.addresses).map(|address| address.local).collect();
    let host = root.is_host().then(|| root.line("/proc/sys/kernel/hostname").ok()).flatten();
    Ok(Facts {
        at: now(),
        host,
        root: options.root.as_ref().map(|path| path.display().to_string()),
        privileged: rustix::process::geteuid().is_root(),
        client: options.client,
        listeners: network::listeners(&root),
        routes: network::routes(&root),
        firewall: network::firewall(&root),
        conntrack: kernel::conntrack(&root),
        modules: kernel::modules(&root),
        dev_ppp: root.node(Path::new("/dev/ppp")).map(|node| node.device),
        plugins: ppp::plugins(&root, &ppp_options, &pppd),
        secrets: ppp::secrets(&root, &ppp_options, &accel),
        radius: ppp::radius(&root, &ppp_options, &accel),
        sysctls: kernel::sysctls(&root),
        clock: kernel::clock(&root),
        probes: kernel::probes(&root),
        processes,
        devices,
        pptpd,
        accel,
        pppd,
        ppp_options,
        ppp_unread,
        local,
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
