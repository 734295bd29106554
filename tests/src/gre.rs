//! Enhanced GRE (RFC 2637, section 4.1) and the PPP framing inside (RFC 1661, RFC 1662).

/// Header of one enhanced GRE packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gre<'a> {
    /// Low half of the key: the call id of the receiver.
    pub call_id: u16,
    /// Sequence number: present when there is payload.
    pub sequence: Option<u32>,
    /// Acknowledgement number.
    pub acknowledgement: Option<u32>,
    /// Payload length in the header, bytes.
    pub length: u16,
    /// PPP frame, as far as it was captured.
    pub payload: &'a [u8],
}

/// Reads an enhanced GRE header: version 1, protocol type 0x880b, key present.
///
/// Returns `None` for other GRE and for headers that are cut off.
pub fn parse(packet: &[u8]) -> Option<Gre<'_>> {
    const ROUTING: u8 = 0x40;
    const CHECKSUM: u8 = 0x80;
    let header = packet.get(..8)?;
    let is_pptp = header[1] & 0x07 == 1 && header[2..4] == [0x88, 0x0b];
    if !is_pptp || header[0] & 0x20 == 0 || header[0] & (CHECKSUM | ROUTING) != 0 {
        return None;
    }
    let length = u16::from_be_bytes([header[4], header[5]]);
    let call_id = u16::from_be_bytes([header[6], header[7]]);
    let mut rest = &packet[8..];
    let mut word = |present: bool| -> Option<Option<u32>> {
        if !present {
            return Some(None);
        }
        let (four, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        Some(Some(u32::from_be_bytes(*four)))
    };
    let sequence = word(header[0] & 0x10 != 0)?;
    let acknowledgement = word(header[1] & 0x80 != 0)?;
    let payload = &rest[..rest.len().min(usize::from(length))];
    Some(Gre { call_id, sequence, acknowledgement, length, payload })
}

impl Gre<'_> {
    /// Protocol number of the PPP frame, with or without address and control field (ACFC) and with
    /// one or two bytes of protocol (PFC). `None` without payload.
    pub fn ppp_protocol(&self) -> Option<u16> {
        self.sequence?;
        let frame = self.payload.strip_prefix(&[0xff, 0x03]).unwrap_or(self.payload);
        match *frame {
            [low, ..] if low & 1 == 1 => Some(u16::from(low)),
            [high, low, ..] => Some(u16::from_be_bytes([high, low])),
            _ => None,
        }
    }

    /// Whether this is a frame of a control protocol: LCP, authentication or an NCP, which PPP
    /// numbers from 0x8000 on (RFC 1661, section 2).
    pub fn is_negotiation(&self) -> bool {
        self.ppp_protocol().is_some_and(|protocol| protocol >= 0x8000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn reads_every_combination_of_sequence_and_acknowledgement() {
        for (sequence, ack) in [(None, None), (Some(7), None), (None, Some(8)), (Some(7), Some(8))] {
            let packet = frames::gre(0x1234, sequence, ack, b"\xff\x03\xc0\x21rest");
            let gre = parse(&packet).unwrap();
            assert_eq!((gre.call_id, gre.sequence, gre.acknowledgement), (0x1234, sequence, ack));
            assert_eq!(gre.is_negotiation(), sequence.is_some());
        }
    }

    #[test]
    fn reads_the_protocol_in_every_framing() {
        let cases: [(&[u8], Option<u16>); 7] = [
            (b"\xff\x03\xc0\x21", Some(0xc021)),
            (b"\xc0\x21", Some(0xc021)),
            (b"\xff\x03\x00\xfd", Some(0x00fd)),
            (b"\xff\x03\xfd", Some(0x00fd)),
            (b"\xfd", Some(0x00fd)),
            (b"\x00", None),
            (b"", None),
        ];
        for (frame, protocol) in cases {
            let packet = frames::gre(1, Some(1), None, frame);
            assert_eq!(parse(&packet).unwrap().ppp_protocol(), protocol, "{frame:x?}");
        }
    }

    #[test]
    fn refuses_what_is_no_enhanced_gre() {
        let good = frames::gre(1, Some(1), Some(1), b"\xc0\x21");
        for cut in 0..16 {
            assert_eq!(parse(&good[..cut]), None, "{cut}");
        }
        for (at, value) in [(0, 0x10), (1, 0x80), (1, 0x82), (3, 0x00), (0, 0xb0), (0, 0x70)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(parse(&bad), None, "byte {at} = {value:#x}");
        }
    }

    #[test]
    fn ethernet_padding_is_no_payload() {
        let mut packet = frames::gre(1, Some(1), None, b"");
        packet.extend([0xc0, 0x21]);
        assert_eq!(parse(&packet).unwrap().ppp_protocol(), None);
    }
}
