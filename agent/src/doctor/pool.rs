//! The addresses that clients get.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::facts::Facts;
use super::ppp_options::Effective;
use super::report::{Check, Status};
use crate::kernel::LinkLayer;

/// The pool, and where it stands.
fn pool(facts: &Facts) -> Option<(Vec<Ipv4Addr>, String)> {
    if let Ok(conf) = &facts.pptpd
        && !conf.remote.is_empty()
    {
        let line = conf.pool_line.map(|line| format!(":{line}")).unwrap_or_default();
        return Some((conf.remote.clone(), format!("{}{line}", conf.path.display())));
    }
    let conf = facts.accel.as_ref().ok().filter(|conf| conf.serves_pptp())?;
    let line = conf.pool.first().map(|(.., line)| format!(":{line}")).unwrap_or_default();
    let addresses: Vec<_> = conf.addresses().collect();
    (!addresses.is_empty()).then(|| (addresses, format!("{}{line}", conf.path.display())))
}

/// An address that a client may have.
pub(super) fn first_address(facts: &Facts) -> Option<Ipv4Addr> {
    pool(facts)?.0.first().copied()
}

/// The check.
pub(super) fn check(facts: &Facts) -> Check {
    let why = "pptpd accepts a connection beyond its pool and never answers it; an address that somebody else has \
               gives a call without traffic.";
    let mut check = Check::new("pool", why);
    let Some((addresses, place)) = pool(facts) else {
        let delegated = facts.pptpd.as_ref().is_ok_and(|conf| conf.delegate);
        let because = if delegated {
            "pptpd delegates addresses to pppd"
        } else {
            "no pool of addresses is configured here"
        };
        return check.skipped(because);
    };
    let distinct: BTreeSet<Ipv4Addr> = addresses.iter().copied().collect();
    check.saw(format!("{} addresses in {place}", distinct.len()));
    if distinct.len() < addresses.len() {
        check.at(
            Status::Fail,
            place.clone(),
            "an address is in the pool twice: two clients get it",
            "list each address once",
        );
    }
    if let Ok(conf) = &facts.pptpd {
        let connections = conf.connections;
        if addresses.len() < connections {
            check.saw(format!("pptpd takes {} calls at once, not {connections}", addresses.len()));
        } else if addresses.len() > connections {
            let what = format!(
                "{} addresses and connections {connections}: the others are never used",
                addresses.len()
            );
            check.at(Status::Warn, place.clone(), what, format!("connections {}", addresses.len()));
        }
        for address in distinct.iter().filter(|address| conf.local.contains(address)).take(1) {
            let what = format!("{address} is this host's own end (localip) too");
            check.at(Status::Fail, place.clone(), what, "take it out of remoteip");
        }
    }
    for address in &distinct {
        let [.., last] = address.octets();
        if address.is_unspecified()
            || address.is_broadcast()
            || address.is_loopback()
            || address.is_multicast()
        {
            check.at(
                Status::Fail,
                place.clone(),
                format!("{address} is no address for a host"),
                "take it out",
            );
            break;
        }
        if matches!(last, 0 | 255) {
            let what = format!(
                "{address} looks like the address of a network or a broadcast: some clients refuse it"
            );
            check.at(Status::Warn, place.clone(), what, "leave .0 and .255 out of the pool");
            break;
        }
    }
    if let Err(unseen) = &facts.devices {
        check.saw(format!("interfaces: {unseen}"));
        return check;
    }
    overlaps(facts, &distinct, &place, &mut check);
    check
}

fn overlaps(facts: &Facts, pool: &BTreeSet<Ipv4Addr>, place: &str, check: &mut Check) {
    let proxyarp = Effective::of(&facts.ppp_options).get("proxyarp").is_some();
    let devices = facts.devices.iter().flatten();
    let (mut live, mut local) = (Vec::new(), BTreeSet::new());
    let mut overlapping = BTreeSet::new();
    for device in devices {
        for address in &device.addresses {
            if device.layer == LinkLayer::Ppp {
                live.extend(address.peer.filter(|peer| pool.contains(peer)));
            } else if pool.contains(&address.local) {
                local.insert((address.local, device.name.clone()));
            }
            let is_network = device.layer != LinkLayer::Ppp && address.prefix < 32;
            if is_network && pool.iter().any(|own| same_network(*own, address.local, address.prefix)) {
                overlapping.insert((address.local, address.prefix, device.name.clone()));
            }
        }
    }
    for (address, device) in local {
        let what = format!("{address} is in the pool and is this host's address on {device}");
        check.at(Status::Fail, place, what, format!("take {address} out of the pool"));
    }
    for (address, prefix, device) in overlapping {
        let network = format!("the network of {device} ({address}/{prefix})");
        if proxyarp {
            check.saw(format!("the pool lies in {network}, and proxyarp answers for it: no other host there may have these addresses"));
        } else {
            let what = format!("the pool overlaps {network}: hosts there will not find the clients");
            check.at(
                Status::Warn,
                place,
                what,
                "proxyarp in pppd's options, or a pool of a network of its own",
            );
        }
    }
    let routed = facts
        .routes
        .iter()
        .flatten()
        .filter(|(_, prefix, device)| (1..32).contains(prefix) && !device.starts_with("ppp"));
    for (network, prefix, device) in routed {
        let known = facts.devices.iter().flatten().any(|other| {
            other
                .addresses
                .iter()
                .any(|address| address.prefix == *prefix && same_network(address.local, *network, *prefix))
        });
        if !known && pool.iter().any(|own| same_network(*own, *network, *prefix)) {
            let what = format!("the pool overlaps {network}/{prefix}, which is routed to {device}");
            check.at(Status::Warn, place, what, "a pool of a network of its own");
        }
    }
    if !live.is_empty() {
        let mut seen = BTreeSet::new();
        check.saw(format!("{} in use", live.len()));
        if let Some(twice) = live.iter().find(|address| !seen.insert(**address)) {
            check.fail(
                format!("{twice} is the peer of two calls at once"),
                "end one of the calls; see whether two daemons share the pool",
            );
        }
        if live.len() * 10 >= pool.len() * 9 {
            let status = if live.len() >= pool.len() { Status::Fail } else { Status::Warn };
            let what = format!("{} of {} addresses are in use", live.len(), pool.len());
            check.at(status, place, what, "widen remoteip and connections");
        }
    }
}

fn same_network(left: Ipv4Addr, right: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    u32::from(left) & mask == u32::from(right) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_their_prefix() {
        let address = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        assert!(same_network(address("10.0.0.1"), address("10.0.0.200"), 24));
        assert!(!same_network(address("10.0.0.1"), address("10.0.1.1"), 24));
        assert!(same_network(address("10.0.0.1"), address("192.0.2.1"), 0));
        assert!(!same_network(address("10.0.0.1"), address("10.0.0.2"), 32));
    }
}
