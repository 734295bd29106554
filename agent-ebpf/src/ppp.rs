//! The framing of PPP inside GRE (RFC 1661, section 6).

use pptpscope_common::{Content, HEAD_BYTES};

use crate::packet::{Packet, opaque};

/// Bytes that are read, the last of which is the last one of interest. A frame has more than that
/// before it: the header of GRE with a sequence number alone has 12.
const READ: usize = 8;

/// No frame begins as far from the beginning of the packet: link header and two tags have 22 bytes, IPv4
/// up to 60, GRE up to 16.
const FARTHEST: usize = 0xff;

/// What the frame of `length` bytes at `at` is.
///
/// One read for frames of every length: byte after byte, the verifier would follow each of them with
/// each outcome of those before it.
#[inline(always)]
pub(crate) fn content<P: Packet>(packet: &P, at: usize, length: usize) -> Content {
    let known = if length < HEAD_BYTES { length } else { HEAD_BYTES };
    if known == 0 {
        return Content::NONE;
    }
    // Subtracted before it is added to the packet's address: the verifier learns nothing from comparing
    // pointers with a negative offset. The mask changes nothing: on 5.10 the verifier has forgotten what
    // it knew about numbers that were on the stack meanwhile.
    let start = opaque(at + known - READ) & FARTHEST;
    let Some(bytes) = packet.read::<READ>(start) else { return Content::NONE };
    let [a, b, c, d, e, f, ..] = (u64::from_le_bytes(bytes) >> (8 * (READ - known))).to_le_bytes();
    Content::of([a, b, c, d, e, f], length)
}
