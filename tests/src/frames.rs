//! Frames and captures made by hand, for the tests of this crate.

/// A pcap file with nanoseconds: time and bytes of each frame.
pub(crate) fn pcap(frames: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for value in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend(value.to_le_bytes());
    }
    for (at, data) in frames {
        file.extend(u32::try_from(at / 1_000_000_000).unwrap().to_le_bytes());
        file.extend(u32::try_from(at % 1_000_000_000).unwrap().to_le_bytes());
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        file.extend(data);
    }
    file
}

pub(crate) fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[0; 12], &[0x08, 0x00][..], ip].concat()
}

pub(crate) fn ip(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    fragment(source, destination, protocol, 1, 0, false, payload)
}

pub(crate) fn fragment(
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    identification: u16,
    offset: u16,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend(((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(destination);
    packet.extend(payload);
    packet
}

pub(crate) fn tcp(source: u16, destination: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// Enhanced GRE (RFC 2637, section 4.1).
pub(crate) fn gre(call_id: u16, sequence: Option<u32>, ack: Option<u32>, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x20, 0x01, 0x88, 0x0b];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend(call_id.to_be_bytes());
    if let Some(sequence) = sequence {
        packet[0] |= 0x10;
        packet.extend(sequence.to_be_bytes());
    }
    if let Some(ack) = ack {
        packet[1] |= 0x80;
        packet.extend(ack.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// An Outgoing-Call-Request (RFC 2637, section 2.7), or any type with a call id in the same place.
pub(crate) fn control(kind: u16, call_id: u16, peer_call_id: u16, length: u16) -> Vec<u8> {
    let mut message = vec![0; usize::from(length)];
    message[..2].copy_from_slice(&length.to_be_bytes());
    message[2..4].copy_from_slice(&1_u16.to_be_bytes());
    message[4..8].copy_from_slice(&0x1a2b_3c4d_u32.to_be_bytes());
    message[8..10].copy_from_slice(&kind.to_be_bytes());
    message[12..14].copy_from_slice(&call_id.to_be_bytes());
    if length > 16 {
        message[14..16].copy_from_slice(&peer_call_id.to_be_bytes());
    }
    message
}
