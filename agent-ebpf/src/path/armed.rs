//! Probes that fire for every packet of a call, or of the host, and are attached only for a bounded
//! time: when the books have a difference that nobody booked, or when the user asked for them.
//!
//! match-proto: int raw_local_deliver(struct sk_buff *skb, int protocol)
//! match-proto: static int mppe_decompress(void *arg, unsigned char *ibuf, int isize, unsigned char *obuf, int osize)
//! match-proto: static int ppp_async_send(struct ppp_channel *chan, struct sk_buff *skb)

use aya_ebpf::macros::{kprobe, kretprobe, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use pptpscope_common::drop::{OWN_NETNS, Verdict};
use pptpscope_common::layout::Field;
use pptpscope_common::passage::is_control;

use super::layout::{at, field, is_own, layout};
use super::outer::{GRE, Outer};
use super::passage::{call, pass, unit};
use super::{device, verdict};

/// Bits of the GRE header (RFC 2637, section 4.1).
const SEQUENCE: u8 = 0x10;
const ACK: u8 = 0x80;

/// Times that the probes of this file fired, per CPU: the agent disarms them when it is too often.
#[map]
static ARMED_FIRED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Interface of the unit whose frame `ppp_async_send` has in hand on this CPU; it runs with bottom
/// halves disabled. Zero: none, or a negotiation frame.
#[map]
static SENDING: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn fired() {
    if let Some(count) = ARMED_FIRED.get_ptr_mut(0) {
        // SAFETY: memory of this CPU; added to atomically because a probe may interrupt another one.
        unsafe { crate::flow::add(count, 1) };
    }
}

/// Counts user traffic that the IPv4 layer delivers: behind reassembly and firewall, before any
/// socket.
#[kprobe]
pub fn path_deliver(context: ProbeContext) -> u32 {
    fired();
    deliver(&context);
    0
}

#[inline(always)]
fn deliver(context: &ProbeContext) -> Option<()> {
    let skb: u64 = context.arg(0)?;
    let protocol: i32 = context.arg(1)?;
    if protocol != i32::from(GRE) {
        return None;
    }
    let layout = layout()?;
    device::own_ifindex(layout, field(layout, skb, Field::SkBuffDev)?)?;
    let outer = Outer::of_skb(layout, skb)?;
    let mut whose = Verdict { flags: OWN_NETNS, ..Verdict::default() };
    outer.identify(&mut whose);
    let [first, second]: [u8; 2] = at(outer.payload)?;
    if first & SEQUENCE == 0 {
        return None;
    }
    let header = if second & ACK == 0 { 12 } else { 16 };
    let [first, second, third]: [u8; 3] = at(outer.payload + header)?;
    let protocol = if first == 0xff && second == 0x03 { third } else { first };
    if !is_control(protocol) {
        pass!(call(&whose), delivered);
    }
    Some(())
}

/// Counts what decryption really did.
#[kretprobe]
pub fn path_mppe_done(context: RetProbeContext) -> u32 {
    fired();
    decrypted(&context);
    0
}

#[inline(always)]
fn decrypted(context: &RetProbeContext) -> Option<()> {
    let length: i32 = context.ret();
    // Inside ppp_receive_nonmp_frame, whose probe knows the unit.
    let verdict = verdict::current()?;
    if !verdict::is_own(verdict) {
        return None;
    }
    if length < 0 {
        pass!(unit(verdict.ifindex), mppe_refused);
    } else {
        pass!(unit(verdict.ifindex), mppe_done);
    }
    Some(())
}

/// Remembers whose frame the pty is given.
#[kprobe]
pub fn path_pty_send(context: ProbeContext) -> u32 {
    fired();
    if let Some(sending) = SENDING.get_ptr_mut(0) {
        // SAFETY: memory of this CPU, see SENDING.
        unsafe { *sending = sender(&context).unwrap_or(0) };
    }
    0
}

/// The interface whose user traffic the frame is.
#[inline(always)]
fn sender(context: &ProbeContext) -> Option<u32> {
    let channel: u64 = context.arg(0)?;
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let channel: u64 = field(layout, channel, Field::PppChannelChannel)?;
    if !is_own(layout, field(layout, channel, Field::ChannelNet)?) {
        return None;
    }
    let protocol: u8 = at(field(layout, skb, Field::SkBuffData)?)?;
    if is_control(protocol) {
        return None;
    }
    device::own_ifindex(layout, device::of_unit(layout, field(layout, channel, Field::ChannelUnit)?)?)
}

/// Counts what the pty took; what it had no room for comes again.
#[kretprobe]
pub fn path_pty_sent(context: RetProbeContext) -> u32 {
    fired();
    let taken: i32 = context.ret();
    if taken == 1
        && let Some(sending) = SENDING.get_ptr_mut(0)
    {
        // SAFETY: as above.
        pass!(unit(unsafe { *sending }), pty_out);
    }
    0
}
