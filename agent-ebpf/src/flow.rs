//! One map entry per direction of each call, updated in place.

use core::arch::asm;
use core::ptr::addr_of_mut;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_log_ebpf::debug;
use pptpscope_common::{Flow, FlowKey, Refusal, Sequence};

use crate::maps::{FLOWS, refuse};

/// An optional field of the header.
///
/// Not an `Option<u32>`: the number of a `None` is left undefined, and the compiler fills it with
/// whatever a register holds. When that is a pointer, the verifier refuses to have half of it stored.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) is_present: bool,
    /// Zero when absent.
    pub(crate) number: u32,
}

impl Field {
    pub(crate) const ABSENT: Self = Self { is_present: false, number: 0 };

    /// From network byte order.
    #[inline(always)]
    pub(crate) fn present(bytes: [u8; 4]) -> Self {
        Self { is_present: true, number: u32::from_be_bytes(bytes) }
    }
}

/// What one packet adds to its flow.
pub(crate) struct Booking {
    /// Whose packet it is.
    pub(crate) key: FlowKey,
    /// Its IPv4 total length.
    pub(crate) bytes: u64,
    /// Whether it is the first fragment of a datagram.
    pub(crate) is_fragment: bool,
    /// Its sequence number.
    pub(crate) sequence: Field,
    /// Its acknowledgement number.
    pub(crate) ack: Field,
    /// Whether it carries a PPP negotiation frame.
    pub(crate) negotiation: bool,
}

/// Adds to a counter that programs on other CPUs may be adding to.
///
/// Written out as BPF_XADD, which every kernel has: Rust offers no atomic addition on this target,
/// and one that returns the old value would need 5.12.
///
/// # Safety
/// `counter` points into a map's value.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: valid and 8-byte aligned, as all values of maps are; only accessed atomically here.
    unsafe {
        asm!(
            "lock *(u64 *)({counter} + 0) += {amount}",
            counter = in(reg) counter,
            amount = in(reg) amount,
            options(nostack),
        );
    }
}

/// Books a packet on its flow and opens the flow if there is none.
#[inline(always)]
pub(crate) fn book(ifindex: u32, booking: &Booking) {
    // SAFETY: a boot-time helper without preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let flow = match FLOWS.get_ptr_mut(booking.key) {
        Some(flow) => flow,
        None => match open(ifindex, &booking.key, now) {
            Some(flow) => flow,
            None => return refuse(Refusal::FlowsFull),
        },
    };
    // SAFETY: the pointer is to a live value of the map (the hook holds the RCU read lock). Fields
    // that several CPUs may write are added atomically; `sequence`, `last_*` belong to the one CPU
    // that handles this flow, see `Flow`.
    unsafe {
        add(addr_of_mut!((*flow).packets), 1);
        add(addr_of_mut!((*flow).bytes), booking.bytes);
        (*flow).last_ns = now;
        if booking.sequence.is_present {
            let sequence: &mut Sequence = &mut (*flow).sequence;
            sequence.record(booking.sequence.number);
        }
        if booking.ack.is_present {
            (*flow).last_ack = booking.ack.number;
            add(addr_of_mut!((*flow).acks), 1);
            if !booking.sequence.is_present {
                add(addr_of_mut!((*flow).ack_only), 1);
            }
        }
        if booking.is_fragment {
            add(addr_of_mut!((*flow).fragments), 1);
        }
        if booking.negotiation {
            add(addr_of_mut!((*flow).negotiation), 1);
        }
    }
}

/// Books a later fragment, which is not a packet of its own. False when the flow is gone.
#[inline(always)]
pub(crate) fn book_fragment(key: &FlowKey, bytes: u64) -> bool {
    let Some(flow) = FLOWS.get_ptr_mut(key) else { return false };
    // SAFETY: as in `book`.
    unsafe {
        add(addr_of_mut!((*flow).bytes), bytes);
        add(addr_of_mut!((*flow).fragments), 1);
    }
    true
}

/// Opens a flow. None when the map is full.
///
/// Not inlined: a new flow is rare, and the empty value would take stack from every packet.
#[inline(never)]
fn open(ifindex: u32, key: &FlowKey, now: u64) -> Option<*mut Flow> {
    let flow = Flow { first_ns: now, ifindex, ..Flow::default() };
    // When another CPU was faster, the value that it inserted is as good: look it up either way.
    if FLOWS.insert(key, flow, BPF_NOEXIST as u64).is_ok() {
        debug!(
            (),
            "new flow {:i} -> {:i}, call id {}, direction {}, interface {}",
            u32::from_be_bytes(key.source),
            u32::from_be_bytes(key.destination),
            key.call_id,
            key.direction,
            ifindex
        );
    }
    FLOWS.get_ptr_mut(key)
}
