//! Enhanced GRE of captured packets, judged as the kernel programs judge it (`agent-ebpf`, `gre.rs`
//! and `ppp.rs`): the same refusals in the same order.

use pptpscope_common::Refusal;

use super::ip::Datagram;

const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;
const ACKNOWLEDGMENT: u8 = 0x80;
const FLAGS: u8 = 0x78;
const VERSION: u8 = 0x07;
const PPP: u16 = 0x880b;
const HEADER: usize = 8;

const ADDRESS: u8 = 0xff;
const CONTROL: u8 = 0x03;

/// What one packet adds to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) call_id: u16,
    pub(super) sequence: Option<u32>,
    pub(super) ack: Option<u32>,
    pub(super) negotiation: bool,
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
    let mut length = usize::from(u16::from_be_bytes([length_high, length_low]));
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
        negotiation: sequence.is_some() && is_negotiation(datagram, field, length),
    })
}

/// Whether the frame of `length` bytes at `at` has a protocol of 0x8000 and above.
#[inline]
fn is_negotiation(datagram: &Datagram<'_>, at: usize, length: usize) -> bool {
    if length < 2 {
        return false;
    }
    let Some([first, second]) = datagram.at::<2>(at) else { return false };
    if first != ADDRESS || second != CONTROL {
        return first & 0x81 == 0x80;
    }
    length >= 4 && datagram.at::<1>(at + 2).is_some_and(|[first]| first & 0x81 == 0x80)
}
