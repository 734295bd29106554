//! Enhanced GRE of captured packets, judged as the kernel programs judge it (`agent-ebpf`, `gre.rs`
//! and `ppp.rs`): the same refusals in the same order.

use pptpscope_common::{Content, HEAD_BYTES, Refusal};

use super::ip::Datagram;

const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
const ACKNOWLEDGMENT: u8 = 0x80;
const FLAGS: u8 = 0x78;
const VERSION: u8 = 0x07;
const PPP: u16 = 0x880b;
const HEADER: usize = 8;

/// What one packet adds to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) call_id: u16,
    pub(super) sequence: Option<u32>,
    pub(super) ack: Option<u32>,
    /// The payload length in the header.
    pub(super) payload_bytes: u16,
    pub(super) content: Content,
}

/// Reads the GRE header of a datagram that is no later fragment.
#[inline]
pub(super) fn read(datagram: &Datagram<'_>) -> Result<Packet, Refusal> {
    let payload = datagram.payload();
    if payload < 4 {
        return Err(Refusal::Short);
    }
    let [first, second, type_high, type_low] = datagram.at::<4>(0).ok_or(Refusal::Short)?;
    match second & VERSION {
        0 => return Err(Refusal::Version0),
        1 => {}
        _ => return Err(Refusal::VersionUnknown),
    }
    let protocol = u16::from_be_bytes([type_high, type_low]);
    if first & !SEQUENCE != KEY || second & FLAGS != 0 || protocol != PPP {
        return Err(Refusal::NotPptp);
    }
    let has_sequence = first & SEQUENCE != 0;
    let has_ack = second & ACKNOWLEDGMENT != 0;
    let header = HEADER + 4 * usize::from(has_sequence) + 4 * usize::from(has_ack);
    if payload < header {
        return Err(Refusal::Short);
    }
    let [length_high, length_low, id_high, id_low] = datagram.at::<4>(4).ok_or(Refusal::Short)?;
    let payload_bytes = u16::from_be_bytes([length_high, length_low]);
    let mut length = usize::from(payload_bytes);
    if length > payload - header {
        if !datagram.is_fragment() {
            return Err(Refusal::Short);
        }
        length = payload - header;
    }
    let mut field = HEADER;
    let mut optional = |present: bool| {
        if !present {
            return Ok(None);
        }
        let number = datagram.at::<4>(field).map(u32::from_be_bytes).ok_or(Refusal::Short)?;
        field += 4;
        Ok(Some(number))
    };
    let sequence = optional(has_sequence)?;
    let ack = optional(has_ack)?;
    Ok(Packet {
        call_id: u16::from_be_bytes([id_high, id_low]),
        sequence,
        ack,
        payload_bytes,
        content: if sequence.is_some() { content(datagram, field, length) } else { Content::NONE },
    })
}

/// What the frame of `length` bytes at `at` is.
#[inline]
fn content(datagram: &Datagram<'_>, at: usize, length: usize) -> Content {
    if length >= HEAD_BYTES
        && let Some(head) = datagram.at::<HEAD_BYTES>(at)
    {
        return Content::of(head, length);
    }
    // Short, or the capture has cut it: what is not there cannot tell.
    let mut head = [0; HEAD_BYTES];
    let mut known = 0;
    while known < HEAD_BYTES.min(length)
        && let Some([byte]) = datagram.at::<1>(at + known)
    {
        if let Some(place) = head.get_mut(known) {
            *place = byte;
        }
        known += 1;
    }
    Content::of(head, known)
}
