//! Fragments of GRE datagrams: only the first one carries the GRE header.

use aya_ebpf::bindings::BPF_ANY;
use pptpscope_common::{FlowKey, FragmentKey, Refusal};

use crate::flow;
use crate::ip::Datagram;
use crate::maps::{FRAGMENTS, refuse};

#[inline(always)]
fn key(datagram: &Datagram) -> FragmentKey {
    FragmentKey {
        source: datagram.source,
        destination: datagram.destination,
        identification: datagram.identification,
        _pad: 0,
    }
}

/// Remembers whose datagram it is. The entry is left when the last fragment has passed, because
/// one of the others may come after it.
#[inline(always)]
pub(crate) fn first(datagram: &Datagram, flow: &FlowKey) {
    // Failing here shows as FragmentUnmatched when the next fragment comes.
    let _ = FRAGMENTS.insert(key(datagram), flow, BPF_ANY as u64);
}

/// Books a later fragment on the flow of its datagram.
#[inline(always)]
pub(crate) fn later(datagram: &Datagram) {
    // SAFETY: an evicted entry may be reused while we hold it; its bytes then are another flow's
    // key, which is as valid. The key is copied once.
    let flow = unsafe { FRAGMENTS.get(key(datagram)) }.copied();
    match flow {
        Some(flow) if flow::book_fragment(&flow, datagram.total as u64) => {}
        _ => refuse(Refusal::FragmentUnmatched),
    }
}
