//! What the checks judge: facts of a host, gathered once.
//!
//! No type here holds a password or a shared secret: [`super::gather`] drops them while it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::accel_conf::AccelConf;
use super::firewall::Firewall;
use super::ppp_options::{Option as PppOption, PluginFile, Pppd};
use super::pptpd_conf::PptpdConf;
use super::radius::Client;
use super::secrets::Secrets;
use crate::kernel::Device;
use crate::time::Timestamp;

/// Why something was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// It does not exist.
    Absent(String),
    /// This process may not look at it.
    Denied(String),
    /// It belongs to a running host, and another root was read.
    OtherRoot,
    /// Looking failed.
    Failed(String),
}

impl fmt::Display for Unseen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(what) => write!(formatter, "{what} does not exist"),
            Self::Denied(what) => write!(formatter, "{what} may not be read by this user: run it as root"),
            Self::OtherRoot => formatter.write_str("only files were read (--root), not the running host"),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

/// Something that was seen, or why not.
pub type Seen<T> = Result<T, Unseen>;

/// Owner and permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Permission bits (st_mode & 0o7777).
    pub bits: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A process that has to do with PPTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name (comm).
    pub name: String,
    /// Arguments, the program's name first. Those of these daemons hold no secrets.
    pub arguments: Vec<String>,
}

/// A TCP socket that listens on port 1723.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address; unspecified for any. Absent for a socket of IPv6 that takes IPv4 too.
    pub address: Option<Ipv4Addr>,
    /// Name and id of its process, where that may be seen.
    pub owner: Option<(String, u32)>,
}

/// How a kernel module can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// In the running kernel now.
    Loaded,
    /// Part of the kernel.
    BuiltIn,
    /// A file that can be loaded.
    Loadable,
    /// There is no such module for this kernel.
    Missing,
}

/// What is known of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// Kernel release whose modules were looked at.
    pub release: String,
    /// Every module of interest.
    pub states: BTreeMap<&'static str, Module>,
    /// Lines of modprobe.d that keep a module from loading: module, place, line.
    pub blocked: Vec<(String, String, String)>,
    /// kernel.modules_disabled: nothing can be loaded until the next boot.
    pub loading_disabled: bool,
    /// crypto.fips_enabled: ppp_mppe refuses to load.
    pub fips: bool,
}

/// Connection tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries now.
    pub count: u64,
    /// Entries that fit.
    pub max: u64,
    /// net.netfilter.nf_conntrack_helper: automatic assignment of helpers. Absent from Linux 6.0 on.
    pub automatic_helpers: Option<bool>,
}

/// The clock (adjtimex(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// STA_UNSYNC is not set.
    pub synchronised: bool,
    /// Upper bound of the error, microseconds.
    pub max_error_us: i64,
}

/// What the kernel offers to the probes of `pptpscope run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Release, such as 6.1.0-18-amd64.
    pub release: String,
    /// /sys/kernel/btf/vmlinux is there.
    pub btf: bool,
    /// Kernel probes can be made (perf's kprobe PMU).
    pub kprobes: bool,
    /// Functions that probes are attached to, and whether the kernel shows them. None when kallsyms
    /// could not be read.
    pub functions: Option<BTreeMap<&'static str, bool>>,
    /// Why this process could not load them.
    pub privilege: Option<String>,
    /// kernel.unprivileged_bpf_disabled and lockdown: what forbids BPF altogether.
    pub lockdown: Option<String>,
}

/// Everything.
#[derive(Debug)]
pub struct Facts {
    /// When it was gathered.
    pub at: Timestamp,
    /// Name of the host.
    pub host: Option<String>,
    /// Another root that was read instead of the running host.
    pub root: Option<String>,
    /// Effective user is root.
    pub privileged: bool,
    /// The packet's source that the user asked about.
    pub client: Option<Ipv4Addr>,
    /// Daemons that are running here.
    pub processes: Seen<Vec<Process>>,
    /// Who listens on 1723.
    pub listeners: Seen<Vec<Listener>>,
    /// Interfaces and their addresses.
    pub devices: Seen<Vec<Device>>,
    /// Routes of the main table: network, prefix length, interface.
    pub routes: Seen<Vec<(Ipv4Addr, u8, String)>>,
    /// Rules.
    pub firewall: Firewall,
    /// Connection tracking; absent when it is not in the kernel.
    pub conntrack: Seen<Conntrack>,
    /// Modules.
    pub modules: Seen<Modules>,
    /// /dev/ppp is a character device: its numbers.
    pub dev_ppp: Seen<Option<(u32, u32)>>,
    /// pptpd is installed or configured.
    pub pptpd: Seen<PptpdConf>,
    /// accel-ppp is installed or configured.
    pub accel: Seen<AccelConf>,
    /// The pppd that calls are handed to.
    pub pppd: Seen<Pppd>,
    /// Options of pppd for a call, in the order in which they count.
    pub ppp_options: Vec<PppOption>,
    /// Options files that could not be read: path and why.
    pub ppp_unread: Vec<(PathBuf, Unseen)>,
    /// Plugins that these options name.
    pub plugins: Vec<PluginFile>,
    /// chap-secrets.
    pub secrets: Seen<Secrets>,
    /// Clients of RADIUS that are configured.
    pub radius: Vec<Seen<Client>>,
    /// Values of sysctls by their dotted name; absent ones do not exist here.
    pub sysctls: BTreeMap<String, String>,
    /// The clock.
    pub clock: Seen<Clock>,
    /// What our own probes need.
    pub probes: Seen<Probes>,
    /// Addresses of this host.
    pub local: BTreeSet<Ipv4Addr>,
}

impl Facts {
    /// Whether the daemon here is pptpd.
    pub fn has_pptpd(&self) -> bool {
        self.pptpd.is_ok()
    }

    /// Whether accel-ppp serves PPTP here.
    pub fn has_accel(&self) -> bool {
        self.accel.as_ref().is_ok_and(AccelConf::serves_pptp)
    }

    /// Interfaces that calls come over.
    pub fn uplinks(&self) -> Vec<&Device> {
        let devices = self.devices.iter().flatten();
        let is_uplink = |device: &&Device| {
            !device.addresses.is_empty()
                && device.up
                && !matches!(device.layer, crate::kernel::LinkLayer::Loopback | crate::kernel::LinkLayer::Ppp)
        };
        devices.filter(is_uplink).collect()
    }
}
