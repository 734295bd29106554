//! One map entry per direction of each call, updated in place.

use core::arch::asm;
use core::ptr::addr_of_mut;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_log_ebpf::debug;
use pptpscope_common::{Content, Flow, FlowKey, Refusal};

use crate::clock;
use crate::maps::{FLOWS, NEW_FLOW, PEERS, refuse};

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
    /// The payload length in its GRE header, bytes.
    pub(crate) payload_bytes: u16,
    /// What its payload is.
    pub(crate) content: Content,
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
    let now = clock::recently();
    let flow = match FLOWS.get_ptr_mut(booking.key) {
        Some(flow) => flow,
        None => {
            open(ifindex, &booking.key);
            match FLOWS.get_ptr_mut(booking.key) {
                Some(flow) => flow,
                None => return refuse(Refusal::FlowsFull),
            }
        }
    };
    // SAFETY: the pointer is to a live value of the map (the hook holds the RCU read lock). Fields
    // that several CPUs may write are added atomically; the rest belongs to the one CPU that handles
    // this flow, see `Flow`.
    unsafe {
        add(addr_of_mut!((*flow).packets), 1);
        add(addr_of_mut!((*flow).bytes), booking.bytes);
        // Another CPU may be a tick ahead, and the first packet was timed exactly.
        let is_new_tick = now > (*flow).last_ns;
        if is_new_tick {
            (*flow).last_ns = now;
        }
        if booking.sequence.is_present {
            book_payload(&mut *flow, booking, now, is_new_tick);
        }
        if booking.ack.is_present {
            (*flow).last_ack = booking.ack.number;
            add(addr_of_mut!((*flow).acks), 1);
            if !booking.sequence.is_present {
                add(addr_of_mut!((*flow).ack_only), 1);
            }
            if (*flow).awaited.is_answered_by(booking.ack.number) {
                end_sample(&mut *flow, &booking.key, booking.ack.number);
            }
        }
        if booking.is_fragment {
            add(addr_of_mut!((*flow).fragments), 1);
        }
    }
}

/// Books what a packet with a sequence number carries.
#[inline(always)]
fn book_payload(flow: &mut Flow, booking: &Booking, now: u64, is_new_tick: bool) {
    let is_newest = flow.record_payload(booking.sequence.number, booking.payload_bytes, booking.content);
    if is_newest && flow.may_sample(now, is_new_tick) {
        begin_sample(flow, &booking.key, booking.sequence.number);
    }
}

/// Begins to wait for the acknowledgement of `number`, once the other direction is known.
///
/// Not inlined, as `end_sample`: once for each round trip.
#[inline(never)]
fn begin_sample(flow: &mut Flow, key: &FlowKey, number: u32) {
    if flow.peer == 0 {
        // SAFETY: an evicted entry may be reused while we hold it; the number then is another flow's
        // peer, and the other direction is not found or measures once too little.
        let Some(peer) = (unsafe { PEERS.get(FlowKey { direction: 0, ..*key }) }) else { return };
        flow.peer = *peer;
    }
    if let Some(other) = other_direction(flow, key) {
        flow.begin_sample(other, number, clock::now());
    }
}

/// Ends the sample that this direction was waiting to acknowledge.
#[inline(never)]
fn end_sample(flow: &mut Flow, key: &FlowKey, ack: u32) {
    let other = other_direction(flow, key);
    flow.end_sample(other, ack, clock::now());
}

/// The entry of the other direction of the call.
#[inline(always)]
fn other_direction(flow: &Flow, key: &FlowKey) -> Option<&'static mut Flow> {
    let other = FlowKey {
        source: key.destination,
        destination: key.source,
        call_id: flow.peer as u16,
        // What came in is acknowledged by what goes out.
        direction: 1 - key.direction,
        _pad: 0,
    };
    // SAFETY: a live value of the map, not the one of `flow`: the keys differ in `direction`. Another
    // CPU may be counting in it; what is written here are the fields of samples, which that CPU only
    // reads while no sample is in flight, and single words.
    FLOWS.get_ptr_mut(other).map(|other| unsafe { &mut *other })
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

/// Opens a flow, unless the map is full: the caller looks it up.
///
/// Not inlined: a new flow is rare.
#[inline(never)]
fn open(ifindex: u32, key: &FlowKey) {
    let now = clock::now();
    let Some(flow) = NEW_FLOW.get_ptr_mut(0) else { return };
    // SAFETY: the map's own memory for this CPU (see SCRATCH for why nobody else uses it meanwhile),
    // zero from the start but for these fields.
    let flow = unsafe {
        (*flow).first_ns = now;
        (*flow).last_ns = now;
        (*flow).ifindex = ifindex;
        &*flow
    };
    // When another CPU was faster, the value that it inserted is as good.
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
}
