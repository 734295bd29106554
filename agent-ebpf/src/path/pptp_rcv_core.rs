//! The PPTP socket takes a packet of its call (drivers/net/ppp/pptp.c).
//!
//! match-proto: static int pptp_rcv_core(struct sock *sk, struct sk_buff *skb)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason, Verdict};
use pptpscope_common::layout::{Field, Layout};
use pptpscope_common::passage::is_control;

use super::layout::{at, field, is_own, layout};
use super::outer::Outer;
use super::passage::{call, pass};
use super::{device, verdict};

/// PPPOX_CONNECTED (include/linux/if_pppox.h).
const CONNECTED: u8 = 1;

/// Bits of the first two bytes (RFC 2637, section 4.1).
const SEQUENCE: u8 = 0x10;
const ACK: u8 = 0x80;

/// Says why pptp_rcv_core would free the packet. It holds the socket's lock, so that what is read
/// here is what it decides by.
#[kprobe]
pub fn path_pptp_core(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let sock: u64 = context.arg(0)?;
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    // By way of the socket's backlog it comes here alone.
    if !verdict::is_own(verdict) {
        if !is_own(layout, field(layout, sock, Field::SockNet)?) {
            return None;
        }
        verdict.flags = OWN_NETNS;
        Outer::of_skb(layout, skb)?.identify(verdict);
    }
    verdict.reason = reason(layout, sock, skb, verdict)? as u8;
    Some(())
}

/// Why the packet will be freed; [`Reason::Undecided`] when it will not. None when something cannot
/// be read.
#[inline(always)]
fn reason(layout: &Layout, sock: u64, skb: u64, verdict: &Verdict) -> Option<Reason> {
    if field::<u8>(layout, sock, Field::SockState)? & CONNECTED == 0 {
        return Some(Reason::PptpNotConnected);
    }
    let data: u64 = field(layout, skb, Field::SkBuffData)?;
    let header: [u8; 12] = at(data)?;
    let options = sock + u64::from(layout.offset(Field::PppoxSockProto)?);
    // The call id is why the packet came to this socket: where it does not agree, the offsets are
    // not those of this kernel.
    if field::<u16>(layout, options, Field::PptpOptCallId)? != u16::from_be_bytes([header[6], header[7]]) {
        return None;
    }
    if header[0] & SEQUENCE == 0 {
        return Some(Reason::PptpAckOnly);
    }
    let length = if header[1] & ACK == 0 { 12 } else { 16 };
    if !is_control(protocol(at(data + u64::from(length))?)) {
        pass(layout, sock, verdict);
    }
    let payload = u32::from(u16::from_be_bytes([header[4], header[5]]));
    // Unsigned, as in the kernel: less than the header is not less than the payload there.
    if field::<u32>(layout, skb, Field::SkBuffLen)?.wrapping_sub(length) < payload {
        return Some(Reason::PptpTruncated);
    }
    let sequence = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    let last: u32 = field(layout, options, Field::PptpOptSeqRecv)?;
    let is_old = sequence < last.wrapping_add(1) || has_wrapped(last, sequence);
    if is_old && !is_echo(at(data + u64::from(length))?) {
        return Some(Reason::PptpOldSequence);
    }
    Some(Reason::Undecided)
}

/// The first byte of the protocol field: behind address and control, where they are.
#[inline(always)]
const fn protocol([first, second, third]: [u8; 3]) -> u8 {
    if first == 0xff && second == 0x03 { third } else { first }
}

/// Counts user traffic that has reached the call, and notes the unit that the call feeds.
#[inline(always)]
fn pass(layout: &Layout, sock: u64, verdict: &Verdict) {
    let passage = call(verdict);
    pass!(passage, socket_in);
    let unit_of = |channel: u64| {
        let channel: u64 = field(layout, channel, Field::PppChannelChannel)?;
        let unit: u64 = field(layout, channel, Field::ChannelUnit)?;
        device::own_ifindex(layout, device::of_unit(layout, unit)?)
    };
    let channel = layout.offset(Field::PppoxSockChannel).map(|offset| sock + u64::from(offset));
    if let (Some(passage), Some(ifindex)) = (passage, channel.and_then(unit_of)) {
        // SAFETY: a live value of the map; whoever writes it writes the same number.
        unsafe { (*passage).ifindex = ifindex };
    }
}

/// WRAPPED of pptp.c.
#[inline(always)]
fn has_wrapped(current: u32, last: u32) -> bool {
    const HIGH: u32 = 0xffff_ff00;
    current & HIGH == 0 && last & HIGH == HIGH
}

/// LCP Echo-Request and Echo-Reply are taken whatever their number.
#[inline(always)]
fn is_echo(frame: [u8; 5]) -> bool {
    matches!(frame, [0xff, 0x03, 0xc0, 0x21, 9 | 10])
}
