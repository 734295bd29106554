//! Limits on the records about one remote address, so that a scan or a flood cannot fill the ring.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use pptpscope_common::{Direction, Kind, Limit, Limiter, Source, SourceKey};

use crate::ip::Datagram;
use crate::maps::{NEWCOMERS, SOURCES};
use crate::packet::Packet;
use crate::record;

/// Whether a packet may make a record; counts it when not.
#[inline(always)]
pub(crate) fn check<P: Packet>(packet: &P, datagram: &Datagram, kind: Kind) -> Option<Kind> {
    if allows(remote(packet, datagram), kind) {
        return Some(kind);
    }
    record::suppress(kind);
    None
}

/// The address at the other end of the wire.
#[inline(always)]
fn remote<P: Packet>(packet: &P, datagram: &Datagram) -> [u8; 4] {
    match packet.direction() {
        Direction::Ingress => datagram.source,
        Direction::Egress => datagram.destination,
    }
}

/// Whether one more record about `address` may go into the ring.
#[inline(never)]
fn allows(address: [u8; 4], kind: Kind) -> bool {
    // SAFETY: a boot-time helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let limit = if kind as u32 == Kind::Icmp as u32 { Limit::ICMP } else { Limit::CONTROL };
    let key = SourceKey { address, kind: kind as u32 };
    if let Some(source) = SOURCES.get_ptr_mut(key) {
        // SAFETY: the map's memory. Another CPU may write it at the same time, or it may have become
        // another address's: then one more or less passes.
        let source: &mut Source = unsafe { &mut *source };
        let allowed = source.limiter.take(limit, now);
        source.limited += u64::from(!allowed);
        return allowed;
    }
    let Some(newcomers) = NEWCOMERS.get_ptr_mut(0) else { return false };
    // SAFETY: the map's own memory for this CPU; see SCRATCH for why nobody else writes it.
    if !unsafe { &mut *newcomers }.take(Limit::NEWCOMERS, now) {
        return false;
    }
    let mut limiter = Limiter::default();
    limiter.take(limit, now);
    // Failing here means that it stays a newcomer.
    let _ = SOURCES.insert(key, Source { limiter, limited: 0 }, BPF_ANY as u64);
    true
}
