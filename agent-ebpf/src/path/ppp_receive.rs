//! A unit takes a frame (drivers/net/ppp/ppp_generic.c).
//!
//! match-proto: static void ppp_receive_nonmp_frame(struct ppp *ppp, struct sk_buff *skb)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::{OWN_NETNS, Reason, Verdict};
use pptpscope_common::layout::{Field, Layout};

use super::layout::{at, field, layout};
use super::passage::{pass, unit as passage_of};
use super::ppp_input::QUEUE;
use super::{device, verdict};

/// Bits of `ppp.rstate` and `ppp.flags` (include/uapi/linux/ppp-ioctl.h).
const SC_DECOMP_RUN: u32 = 0x0000_2000;
const SC_DC_ERROR: u32 = 0x0040_0000;
const SC_DC_FERROR: u32 = 0x0080_0000;
const SC_MUST_COMP: u32 = 0x0040_0000;

/// `file.kind` of a unit (enum in ppp_generic.c): says that the offsets are right.
const INTERFACE: u32 = 1;

/// IFF_UP.
const UP: u32 = 1;

/// `enum NPmode`: what pppd closes a network protocol by.
const NPMODE_PASS: u32 = 0;

/// Protocols (IANA).
const IPV4: u16 = 0x0021;
const IPV6: u16 = 0x0057;
const COMPRESSED: u16 = 0x00fd;
/// Protocols below are those of user traffic, for the kernel.
const FIRST_CONTROL: u16 = 0x4000;
/// Protocols from here on are negotiation, as on the wire.
const FIRST_NEGOTIATION: u16 = 0x8000;

/// Says why the frame would be freed, and counts what is not decrypted and what was not encrypted.
#[kprobe]
pub fn path_ppp_frame(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    let unit: u64 = context.arg(0)?;
    let skb: u64 = context.arg(1)?;
    let layout = layout()?;
    let verdict = verdict::about(skb)?;
    if field::<u32>(layout, unit, Field::PppKind)? != INTERFACE {
        return None;
    }
    let device = device::of_unit(layout, unit)?;
    let Some(ifindex) = device::own_ifindex(layout, device) else {
        verdict.flags = 0;
        return None;
    };
    verdict.flags |= OWN_NETNS;
    verdict.ifindex = ifindex;
    verdict.reason = reason(layout, unit, device, skb, verdict)? as u8;
    Some(())
}

/// Why the frame, or another one for it, will be freed. None when something cannot be read.
#[inline(always)]
fn reason(layout: &Layout, unit: u64, device: u64, skb: u64, verdict: &Verdict) -> Option<Reason> {
    let data: u64 = field(layout, skb, Field::SkBuffData)?;
    let protocol = u16::from_be_bytes(at(data)?);
    if protocol < FIRST_NEGOTIATION {
        pass!(passage_of(verdict.ifindex), unit_in);
    } else {
        pass!(passage_of(verdict.ifindex), unit_control);
    }
    let state: u32 = field(layout, unit, Field::PppRstate)?;
    let demanded = field::<u32>(layout, unit, Field::PppFlags)? & SC_MUST_COMP != 0;
    let failed = state & (SC_DC_ERROR | SC_DC_FERROR) != 0;
    if demanded && state & SC_DC_FERROR != 0 {
        return Some(Reason::PppReceiveError);
    }
    let decrypts = state & SC_DECOMP_RUN != 0;
    if protocol == COMPRESSED && decrypts && failed {
        verdict::note(verdict, Reason::MppeStalled);
    }
    if (protocol == IPV4 || protocol == IPV6) && (decrypts || demanded) {
        verdict::note(verdict, Reason::MppePlaintext);
    }
    // Control frames, and what stays encrypted, wait for pppd.
    let waits = protocol >= FIRST_CONTROL || (protocol == COMPRESSED && (failed || !decrypts));
    if waits {
        let full = field::<u32>(layout, unit, Field::PppQueue)? >= QUEUE;
        return Some(if full { Reason::PppUnitQueueFull } else { Reason::Undecided });
    }
    // npmode is an array of enum NPmode by enum (NP_IP, NP_IPV6, …); what is encrypted is taken
    // for IPv4.
    let index = u64::from(protocol == IPV6);
    let npmode = unit + u64::from(layout.offset(Field::PppNpmode)?);
    if at::<u32>(npmode + index * 4)? != NPMODE_PASS {
        return Some(Reason::PppNotOpen);
    }
    if field::<u32>(layout, device, Field::NetDeviceFlags)? & UP == 0 {
        return Some(if has_address(layout, device) { Reason::PppInterfaceDown } else { Reason::PppNotOpen });
    }
    // If decryption fails its buffer is freed, and the frame waits for pppd.
    Some(if protocol == COMPRESSED { Reason::PppScratch } else { Reason::Undecided })
}

/// Whether the device has an IPv4 address. pppd gives it one just before it sets the unit up, and
/// takes it away just after it has set it down.
#[inline(always)]
fn has_address(layout: &Layout, device: u64) -> bool {
    let addresses = field(layout, device, Field::NetDeviceIpPtr)
        .and_then(|inet: u64| field::<u64>(layout, inet, Field::InDeviceIfaList));
    addresses.is_some_and(|first| first != 0)
}
