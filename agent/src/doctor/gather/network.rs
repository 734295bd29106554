//! Sockets, processes, routes and rules of the running host.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::command::output;
use super::root::{Root, unseen};
use crate::doctor::facts::{Listener, Process, Seen, Unseen};
use crate::doctor::firewall::{Backend, Firewall, Table, parse_iptables, parse_nft};

/// Daemons of PPTP.
const DAEMONS: [&str; 2] = ["pptpd", "accel-pppd"];
/// Port 1723 as /proc writes it.
const PORT: &str = "06BB";
/// TCP_LISTEN.
const LISTEN: &str = "0A";

/// Daemons in this network namespace.
pub(super) fn processes(root: &Root) -> Seen<Vec<Process>> {
    if !root.is_host() {
        return Err(Unseen::OtherRoot);
    }
    let own = fs::metadata("/proc/self/ns/net").map(|own| own.ino()).ok();
    let mut found = Vec::new();
    for pid in pids() {
        let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) else { continue };
        let name = name.trim().to_owned();
        if !DAEMONS.contains(&name.as_str()) {
            continue;
        }
        let namespace = fs::metadata(format!("/proc/{pid}/ns/net")).map(|there| there.ino()).ok();
        if namespace.is_some() && namespace != own {
            continue;
        }
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let arguments = arguments.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        found.push(Process { pid, name, arguments });
    }
    // A daemon's children have its name; the first one is the daemon.
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Sockets that listen on port 1723.
pub(super) fn listeners(root: &Root) -> Seen<Vec<Listener>> {
    let four =
        root.text("/proc/net/tcp").map_err(|why| if root.is_host() { why } else { Unseen::OtherRoot })?;
    let six = root.text("/proc/net/tcp6").unwrap_or_default();
    let sockets: Vec<(Option<Ipv4Addr>, u64)> = four.lines().chain(six.lines()).filter_map(socket).collect();
    let owners = if root.is_host() && !sockets.is_empty() { owners() } else { BTreeMap::new() };
    let listener = |(address, inode)| Listener { address, owner: owners.get(&inode).cloned() };
    Ok(sockets.into_iter().map(listener).collect())
}

/// A line of /proc/net/tcp: slot, local address, remote address, state, …, inode as tenth word.
fn socket(line: &str) -> Option<(Option<Ipv4Addr>, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = words.get(1)?.split_once(':')?;
    if port != PORT || *words.get(3)? != LISTEN {
        return None;
    }
    let inode = words.get(9)?.parse().ok()?;
    if address.len() == 8 {
        let address = u32::from_str_radix(address, 16).ok()?;
        return Some((Some(Ipv4Addr::from(address.to_ne_bytes())), inode));
    }
    Some((None, inode))
}

/// Processes by the inodes of their sockets, as far as this user may see them.
fn owners() -> BTreeMap<u64, (String, u32)> {
    let mut owners = BTreeMap::new();
    for pid in pids() {
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
            if let Some(inode) = inode {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                owners.entry(inode).or_insert_with(|| (name.trim().to_owned(), pid));
            }
        }
    }
    owners
}

/// Routes of the main table (/proc/net/route).
pub(super) fn routes(root: &Root) -> Seen<Vec<(Ipv4Addr, u8, String)>> {
    if !root.is_host() {
        return Err(Unseen::OtherRoot);
    }
    Ok(root.text("/proc/net/route")?.lines().skip(1).filter_map(route).collect())
}

fn route(line: &str) -> Option<(Ipv4Addr, u8, String)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let address = |at: usize| Some(u32::from_str_radix(words.get(at)?, 16).ok()?.to_ne_bytes());
    let mask = u32::from_be_bytes(address(7)?);
    // At most 32.
    let prefix = u8::try_from(mask.count_ones()).ok()?;
    Some((address(1)?.into(), prefix, (*words.first()?).to_owned()))
}

/// The rulesets. Nothing is asked that would load a module into the kernel.
pub(super) fn firewall(root: &Root) -> Firewall {
    let mut firewall = Firewall { tables: Err(Unseen::OtherRoot), sources: Vec::new(), unread: Vec::new() };
    if !root.is_host() {
        return firewall;
    }
    let mut tables: Vec<Table> = Vec::new();
    let is_loaded = |module: &str| fs::exists(format!("/sys/module/{module}")).unwrap_or(false);
    let mut denied = None;
    // Built in, it has no folder there unless it has parameters; nfnetlink says the rest.
    let nft = is_loaded("nf_tables") || built_in("nf_tables");
    if nft {
        match output("nft", &["-j", "list", "ruleset"]) {
            Ok(text) => match parse_nft(&text) {
                Ok(read) => {
                    firewall.sources.push("nft".to_owned());
                    tables = read;
                }
                Err(error) => firewall.unread.push(error.to_string()),
            },
            Err(Unseen::Denied(what)) => denied = Some(what),
            Err(why) => firewall.unread.push(format!("nftables is in use and could not be read: {why}")),
        }
        // Rules of iptables that nft shows only in part.
        if tables.iter().any(is_of_iptables) {
            match output("iptables-nft-save", &[]).or_else(|_| output("iptables-save", &[])) {
                Ok(text) => {
                    let read = parse_iptables(&text, Backend::IptablesNft);
                    let again = |table: &Table| {
                        table.family == "ip" && read.iter().any(|other| other.name == table.name)
                    };
                    tables.retain(|table| !again(table));
                    tables.extend(read);
                    firewall.sources.push("iptables-nft-save".to_owned());
                }
                Err(why) => {
                    firewall.unread.push(format!("rules of iptables are only half readable by nft: {why}"));
                }
            }
        }
    } else {
        firewall.sources.push("nf_tables is not loaded".to_owned());
    }
    match fs::read_to_string("/proc/net/ip_tables_names") {
        Ok(names) if !names.trim().is_empty() => {
            match output("iptables-legacy-save", &[]).or_else(|_| output("iptables-save", &[])) {
                Ok(text) => {
                    firewall.sources.push("iptables-legacy-save".to_owned());
                    tables.extend(parse_iptables(&text, Backend::IptablesLegacy));
                }
                Err(Unseen::Denied(what)) => denied = Some(what),
                Err(why) => {
                    firewall.unread.push(format!("iptables (legacy) is in use and could not be read: {why}"));
                }
            }
        }
        // For root alone, and there wherever systemd has loaded ip_tables. Each table is a module of its own.
        Err(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && LEGACY_TABLES.iter().any(|module| is_loaded(module) || built_in(module)) =>
        {
            let why = "only root may read /proc/net/ip_tables_names";
            firewall.unread.push(format!("iptables (legacy) may have rules: {why}"));
        }
        _ => firewall.sources.push("no table of iptables-legacy".to_owned()),
    }
    firewall.tables = match denied {
        Some(what) => Err(Unseen::Denied(what)),
        None => Ok(tables),
    };
    firewall
}

/// Modules that make the tables of iptables-legacy.
const LEGACY_TABLES: [&str; 5] =
    ["iptable_filter", "iptable_mangle", "iptable_nat", "iptable_raw", "iptable_security"];

/// nft shows matches of iptables by their names alone.
fn is_of_iptables(table: &Table) -> bool {
    let upper = |name: &str| matches!(name, "INPUT" | "FORWARD" | "OUTPUT" | "PREROUTING" | "POSTROUTING");
    table.family == "ip" && table.chains.iter().any(|chain| chain.base.is_some() && upper(&chain.name))
}

fn built_in(module: &str) -> bool {
    let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") else { return false };
    let list = Path::new("/lib/modules").join(release.trim()).join("modules.builtin");
    match fs::read_to_string(&list).map_err(|error| unseen(&list, &error)) {
        Ok(list) => list.lines().any(|line| line.ends_with(&format!("/{module}.ko"))),
        // Without a list (a kernel without modules) it may well be built in.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_and_routes() {
        let line = "   0: 027100CB:06BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17583 1 x 100 0 0 10 0";
        assert_eq!(socket(line), Some((Some(Ipv4Addr::new(203, 0, 113, 2)), 17583)));
        assert_eq!(socket(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(socket(&line.replace("06BB", "06BC")), None);
        assert_eq!(socket("nonsense"), None);
        let line = "eth0\t00710CCB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
        assert_eq!(route(line), Some((Ipv4Addr::new(203, 12, 113, 0), 24, "eth0".to_owned())));
    }
}
