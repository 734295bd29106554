//! The only place that writes to the ring, and keeps its books:
//! `seen == submitted + ring_full + suppressed`, per kind.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use core::ptr::{addr_of, addr_of_mut};
use pptpscope_common::{Account, Kind, Record, RecordHeader, SNAP_BYTES, TRUNCATED};

use crate::ip::Datagram;
use crate::maps::{ACCOUNTS, RING, SCRATCH};
use crate::packet::{Packet, captured};

/// Counts a packet that carries nothing to tell.
#[inline(always)]
pub(crate) fn suppress(kind: Kind) {
    if let Some(account) = account(kind) {
        account.seen += 1;
        account.suppressed += 1;
    }
}

/// Sends a packet to the agent, from its IPv4 header on.
///
/// Not inlined: one copy of it is enough, for programs and verifier alike.
#[inline(never)]
pub(crate) fn submit<P: Packet>(packet: &P, datagram: &Datagram, kind: Kind) {
    // Both always exist: the indices are within the arrays.
    let (Some(account), Some(scratch)) = (account(kind), SCRATCH.get_ptr_mut(0)) else { return };
    account.seen += 1;

    // What the frame really holds, when the header promises more.
    let present = packet.len() - datagram.at;
    let length = if datagram.total < present { datagram.total } else { present };
    let (length, flags) = if length > SNAP_BYTES { (SNAP_BYTES, TRUNCATED) } else { (length, 0) };

    // SAFETY: the map's own memory for this CPU, which nobody else uses meanwhile (see SCRATCH).
    let record: &mut Record = unsafe { &mut *scratch };
    // Field by field: the padding is zero from the start and stays so.
    let header = &mut record.header;
    // SAFETY: a helper without preconditions.
    header.at_ns = unsafe { bpf_ktime_get_ns() };
    header.ifindex = packet.ifindex();
    header.total_bytes = datagram.total as u16;
    header.captured_bytes = length as u16;
    header.kind = kind as u8;
    header.direction = packet.direction() as u8;
    header.flags = flags;
    if !packet.copy(datagram.at, record) {
        // Cannot be, but the books must balance: a record without the packet.
        record.header.captured_bytes = 0;
    }
    let captured = captured(record);
    let captured = if captured > SNAP_BYTES { 0 } else { captured };
    // SAFETY: the record is longer than what is sent of it.
    let failed = unsafe {
        bpf_ringbuf_output(
            addr_of!(RING).cast_mut().cast(),
            addr_of_mut!(*record).cast(),
            (size_of::<RecordHeader>() + captured) as u64,
            0,
        )
    };
    if failed == 0 {
        account.submitted += 1;
        account.truncated += u64::from(flags == TRUNCATED);
    } else {
        account.ring_full += 1;
    }
}

#[inline(always)]
fn account(kind: Kind) -> Option<&'static mut Account> {
    // SAFETY: the map's own memory for this CPU; see SCRATCH for why nobody else writes it.
    ACCOUNTS.get_ptr_mut(kind as u32).map(|account| unsafe { &mut *account })
}
