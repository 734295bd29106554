//! Enhanced GRE (RFC 2637, section 4.1): the data packets of PPTP.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-----+-+-------+-----+-------------------------------+
//! |C|R|K|S|s|Recur|A| Flags | Ver |         Protocol Type         |
//! +-+-+-+-+-+-----+-+-------+-----+-------------------------------+
//! |        Payload Length         |            Call ID            |
//! +-------------------------------+-------------------------------+
//! |                 Sequence Number (when S is set)               |
//! +---------------------------------------------------------------+
//! |              Acknowledgment Number (when A is set)            |
//! +---------------------------------------------------------------+
//! ```

use pptpscope_common::{Content, FlowKey, Kind, Refusal};

use crate::flow::{self, Booking, Field};
use crate::fragment;
use crate::ip::Datagram;
use crate::maps::refuse;
use crate::packet::Packet;
use crate::ppp;

/// Bits of the first byte.
const KEY: u8 = 0x20;
const SEQUENCE: u8 = 0x10;

/// Bits of the second byte.
const ACKNOWLEDGMENT: u8 = 0x80;
const FLAGS: u8 = 0x78;
const VERSION: u8 = 0x07;

/// Protocol type of PPTP: PPP.
const PPP: u16 = 0x880b;

/// Bytes up to the first optional field.
const HEADER: usize = 8;

/// Books a datagram of protocol 47 on its call, or counts why it has none. Tells what is to be
/// reported of it.
#[inline(always)]
pub(crate) fn gre<P: Packet>(packet: &P, datagram: &Datagram) -> Option<Kind> {
    // The kernel drops what is shorter than its total length field (ip_rcv_core), so may we.
    if packet.len() < datagram.at + datagram.total {
        refuse(Refusal::Short);
        return None;
    }
    if datagram.is_later_fragment() {
        fragment::later(datagram);
        return None;
    }
    match parse(packet, datagram) {
        Ok((booking, frame)) => book(packet, datagram, booking, frame),
        Err(why) => {
            refuse(why);
            None
        }
    }
}

/// Where the PPP frame is.
struct Frame {
    at: usize,
    length: usize,
}

#[inline(always)]
fn parse<P: Packet>(packet: &P, datagram: &Datagram) -> Result<(Booking, Frame), Refusal> {
    let at = datagram.payload_at();
    let payload = datagram.payload();
    // Version 0 headers may be as short as this.
    if payload < 4 {
        return Err(Refusal::Short);
    }
    let [first, second, type_high, type_low] = packet.read::<4>(at).ok_or(Refusal::Short)?;
    match second & VERSION {
        0 => return Err(Refusal::Version0),
        1 => {}
        _ => return Err(Refusal::VersionUnknown),
    }
    // As pptp_rcv and gre_rcv do, and RFC 2637 says: K set, S free, all others clear.
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
    let [length_high, length_low, id_high, id_low] = packet.read::<4>(at + 4).ok_or(Refusal::Short)?;
    let payload_bytes = u16::from_be_bytes([length_high, length_low]);
    let mut length = usize::from(payload_bytes);
    if length > payload - header {
        // The rest of a fragmented frame is in the later fragments.
        if !datagram.is_fragment() {
            return Err(Refusal::Short);
        }
        length = payload - header;
    }
    let mut field = at + HEADER;
    let mut sequence = Field::ABSENT;
    if has_sequence {
        sequence = Field::present(packet.read::<4>(field).ok_or(Refusal::Short)?);
        field += 4;
    }
    let mut ack = Field::ABSENT;
    if has_ack {
        ack = Field::present(packet.read::<4>(field).ok_or(Refusal::Short)?);
        field += 4;
    }
    let booking = Booking {
        key: FlowKey {
            source: datagram.source,
            destination: datagram.destination,
            call_id: u16::from_be_bytes([id_high, id_low]),
            direction: packet.direction() as u8,
            _pad: 0,
        },
        bytes: datagram.total as u64,
        is_fragment: datagram.is_fragment(),
        sequence,
        ack,
        payload_bytes,
        content: Content::NONE,
    };
    Ok((booking, Frame { at: field, length }))
}

#[inline(always)]
fn book<P: Packet>(packet: &P, datagram: &Datagram, mut booking: Booking, frame: Frame) -> Option<Kind> {
    // Without a sequence number it is an acknowledgement and carries nothing.
    if booking.sequence.is_present {
        booking.content = ppp::content(packet, frame.at, frame.length);
    }
    if booking.is_fragment {
        fragment::first(datagram, &booking.key);
    }
    flow::book(packet.ifindex(), &booking);
    // Also when the flow map was full: who cannot connect should still be seen trying.
    booking.content.is_negotiation.then_some(Kind::Ppp)
}
