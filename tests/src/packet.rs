//! Ethernet, VLAN, IPv4 and TCP headers of a captured frame.

use std::net::Ipv4Addr;

/// One IPv4 packet or fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip<'a> {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// Protocol number: 6 TCP, 47 GRE.
    pub protocol: u8,
    /// Total length field, header included.
    pub total_length: u16,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Offset of this fragment in bytes.
    pub fragment_offset: u16,
    /// Captured bytes after the header, at most what `total_length` says. A capture may have cut them.
    pub payload: &'a [u8],
    /// Identification: the same in all fragments of a packet.
    pub identification: u16,
}

impl Ip<'_> {
    /// Whether this is a fragment, the first one included.
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// One TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// FIN.
    pub fin: bool,
    /// SYN.
    pub syn: bool,
    /// RST.
    pub rst: bool,
    /// Payload.
    pub payload: &'a [u8],
}

/// Reads the IPv4 packet of an Ethernet frame, through up to two VLAN tags (802.1Q, 802.1ad).
///
/// Returns `None` for everything else and for headers that are cut off.
pub fn ipv4(frame: &[u8]) -> Option<Ip<'_>> {
    let mut rest = frame.get(12..)?;
    for _ in 0..3 {
        let (ethertype, after) = rest.split_at_checked(2)?;
        match u16::from_be_bytes([ethertype[0], ethertype[1]]) {
            0x0800 => return ip_header(after),
            0x8100 | 0x88a8 => rest = after.get(2..)?,
            _ => return None,
        }
    }
    None
}

fn ip_header(packet: &[u8]) -> Option<Ip<'_>> {
    let header = packet.get(..20)?;
    let header_length = usize::from(header[0] & 0x0f) * 4;
    let total_length = u16::from_be_bytes([header[2], header[3]]);
    if header[0] >> 4 != 4 || header_length < 20 || usize::from(total_length) < header_length {
        return None;
    }
    let end = packet.len().min(usize::from(total_length));
    let flags = u16::from_be_bytes([header[6], header[7]]);
    Some(Ip {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
        protocol: header[9],
        total_length,
        more_fragments: flags & 0x2000 != 0,
        fragment_offset: (flags & 0x1fff) * 8,
        payload: packet.get(header_length..end)?,
        identification: u16::from_be_bytes([header[4], header[5]]),
    })
}

/// Reads the TCP header of an unfragmented packet.
///
/// Returns `None` when it is no TCP or cut off.
pub fn tcp<'a>(ip: &Ip<'a>) -> Option<Tcp<'a>> {
    if ip.protocol != 6 || ip.is_fragment() {
        return None;
    }
    let header = ip.payload.get(..20)?;
    let header_length = usize::from(header[12] >> 4) * 4;
    if header_length < 20 {
        return None;
    }
    Some(Tcp {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        fin: header[13] & 0x01 != 0,
        syn: header[13] & 0x02 != 0,
        rst: header[13] & 0x04 != 0,
        payload: ip.payload.get(header_length..)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn reads_through_vlan_tags_and_ignores_padding() {
        let packet = frames::ip([10, 0, 0, 1], [10, 0, 0, 2], 47, &[9; 6]);
        for tags in 0..3 {
            let mut frame = vec![0; 12];
            for _ in 0..tags {
                frame.extend([0x81, 0x00, 0x00, 0x05]);
            }
            frame.extend([0x08, 0x00]);
            frame.extend(&packet);
            frame.extend([0; 14]);
            let ip = ipv4(&frame).unwrap();
            assert_eq!(ip.payload, [9; 6]);
            assert_eq!(ip.total_length, 26);
            assert_eq!(ip.destination, Ipv4Addr::new(10, 0, 0, 2));
        }
    }

    #[test]
    fn refuses_cut_and_foreign_headers() {
        let frame = frames::ethernet(&frames::ip([1, 1, 1, 1], [2, 2, 2, 2], 6, &[0; 20]));
        for cut in 0..34 {
            assert_eq!(ipv4(&frame[..cut]), None, "{cut}");
        }
        let mut arp = frame.clone();
        arp[13] = 6;
        assert_eq!(ipv4(&arp), None);
        let mut short_header = frame.clone();
        short_header[14] = 0x44;
        assert_eq!(ipv4(&short_header), None);
        let mut six = frame;
        six[14] = 0x65;
        assert_eq!(ipv4(&six), None);
    }

    #[test]
    fn tcp_needs_a_whole_header() {
        let mut segment = frames::tcp(1000, 1723, 7, 0x02, b"");
        let ip = frames::ip([1, 1, 1, 1], [2, 2, 2, 2], 6, &segment);
        let frame = frames::ethernet(&ip);
        let read = tcp(&ipv4(&frame).unwrap()).unwrap();
        assert!(read.syn && !read.fin && !read.rst);
        assert_eq!((read.source_port, read.destination_port, read.sequence), (1000, 1723, 7));
        segment[12] = 0xf0;
        let frame = frames::ethernet(&frames::ip([1, 1, 1, 1], [2, 2, 2, 2], 6, &segment));
        assert_eq!(tcp(&ipv4(&frame).unwrap()), None);
    }
}
