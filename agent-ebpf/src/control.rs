//! The control connection: TCP port 1723 (RFC 2637, section 1.3).

use pptpscope_common::Kind;

use crate::ip::Datagram;
use crate::packet::Packet;
use crate::record;

/// The server's port.
const PPTP: u16 = 1723;

/// Bits of the flags byte (RFC 9293, section 3.1).
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Reports a segment of a control connection, unless it is a bare acknowledgement.
///
/// Segments whose header is damaged are reported too: judging them is the decoder's task.
#[inline(always)]
pub(crate) fn tcp<P: Packet>(packet: &P, datagram: &Datagram) {
    // Later fragments carry no ports. Nothing that speaks PPTP fragments its control connection.
    if datagram.is_later_fragment() || datagram.payload() < 4 {
        return;
    }
    let Some([source_high, source_low, port_high, port_low]) = packet.read::<4>(datagram.payload_at()) else {
        return;
    };
    let source = u16::from_be_bytes([source_high, source_low]);
    let destination = u16::from_be_bytes([port_high, port_low]);
    if source != PPTP && destination != PPTP {
        return;
    }
    if is_bare_acknowledgement(packet, datagram) {
        record::suppress(Kind::Control);
    } else {
        record::submit(packet, datagram, Kind::Control);
    }
}

/// Whether the segment has no payload and changes nothing about the connection.
#[inline(always)]
fn is_bare_acknowledgement<P: Packet>(packet: &P, datagram: &Datagram) -> bool {
    if datagram.payload() < 20 {
        return false;
    }
    let Some([data_offset, flags]) = packet.read::<2>(datagram.payload_at() + 12) else { return false };
    let header = usize::from(data_offset >> 4) * 4;
    flags & (SYN | FIN | RST) == 0 && datagram.payload() == header
}
