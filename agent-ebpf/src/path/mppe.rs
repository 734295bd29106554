//! Decryption (drivers/net/ppp/ppp_mppe.c; RFC 3078).
//!
//! match-proto: static int mppe_decompress(void *arg, unsigned char *ibuf, int isize, unsigned char *obuf, int osize)
//! match-proto: static void mppe_decomp_reset(void *arg)

use aya_ebpf::macros::kprobe;
use aya_ebpf::programs::ProbeContext;
use pptpscope_common::drop::Reason;
use pptpscope_common::layout::{Field, Layout};

use super::layout::{at, field, layout};
use super::passage::{pass, unit};
use super::verdict;

/// Bytes of address, control, protocol and MPPE header (PPP_HDRLEN + MPPE_OVHD).
const HEADER: i32 = 6;
/// Coherency counts (MPPE_CCOUNT_SPACE).
const COUNTS: u32 = 0x1000;

/// Bits of the MPPE header (RFC 3078, section 3.1).
const FLUSHED: u8 = 0x80;
const ENCRYPTED: u8 = 0x10;

/// Counts the frames that will not be decrypted, by the tests of mppe_decompress itself.
#[kprobe]
pub fn path_mppe_in(context: ProbeContext) -> u32 {
    judge(&context);
    0
}

#[inline(always)]
fn judge(context: &ProbeContext) -> Option<()> {
    // Called from inside ppp_receive_nonmp_frame, whose probe knows the unit.
    let verdict = verdict::current()?;
    if !verdict::is_own(verdict) {
        return None;
    }
    pass!(unit(verdict.ifindex), mppe_in);
    verdict::note(verdict, reason(layout()?, context)?);
    Some(())
}

/// Why the frame will not be decrypted. None when it will be, or when something cannot be read.
#[inline(always)]
fn reason(layout: &Layout, context: &ProbeContext) -> Option<Reason> {
    let state: u64 = context.arg(0)?;
    let input: u64 = context.arg(1)?;
    let length: i32 = context.arg(2)?;
    let space: i32 = context.arg(4)?;
    if length <= HEADER {
        return Some(Reason::MppeShort);
    }
    // What comes out is shorter by the MPPE header and, at best, one byte of protocol.
    if space < length - 3 {
        return Some(Reason::MppeTooLong);
    }
    let [high, low]: [u8; 2] = at(input + 4)?;
    let count = u32::from(u16::from_be_bytes([high & 0x0f, low]));
    let expected: u32 = field(layout, state, Field::MppeCcount)?;
    let stateful: u32 = field(layout, state, Field::MppeStateful)?;
    // Where these are no count and no boolean, the offsets are not those of this kernel.
    if expected >= COUNTS || stateful > 1 {
        return None;
    }
    let (stateful, flushed) = (stateful == 1, high & FLUSHED != 0);
    if high & ENCRYPTED == 0 || (!flushed && (!stateful || low == 0xff)) {
        return Some(Reason::MppeBadBits);
    }
    if !stateful {
        let ahead = count.wrapping_sub(expected) % COUNTS;
        return (ahead > COUNTS / 2).then_some(Reason::MppeLate);
    }
    let lost = match field::<u32>(layout, state, Field::MppeDiscard)? {
        0 => count != (expected + 1) % COUNTS,
        _ => !flushed,
    };
    lost.then_some(Reason::MppeDesynchronised)
}

/// Counts: the peer has acknowledged a reset, and decryption goes on.
#[kprobe]
pub fn path_mppe_reset(_: ProbeContext) -> u32 {
    // As above: the CCP frame came through ppp_receive_nonmp_frame.
    if let Some(verdict) = verdict::current()
        && verdict::is_own(verdict)
    {
        verdict::note(verdict, Reason::MppeReset);
    }
    0
}
