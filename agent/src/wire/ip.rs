//! IPv4 headers (RFC 791).

use std::net::Ipv4Addr;

use bytes::{Buf as _, Bytes};

use super::{payload::Payload, read::Reader};

/// ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// TCP, which carries the control connection.
pub const PROTOCOL_TCP: u8 = 6;
/// GRE, which carries the tunnel.
pub const PROTOCOL_GRE: u8 = 47;

/// Length of a header without options, bytes.
const HEADER_BYTES: usize = 20;

/// An IPv4 datagram or a fragment of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// What the payload is; [`PROTOCOL_GRE`], [`PROTOCOL_TCP`], …
    pub protocol: u8,
    /// Common to all fragments of a datagram.
    pub identification: u16,
    /// DF: routers may not fragment it.
    pub dont_fragment: bool,
    /// MF: more fragments follow.
    pub more_fragments: bool,
    /// Where the payload belongs in the payload of the whole datagram, bytes.
    pub fragment_offset: u32,
    /// Hops left.
    pub ttl: u8,
    /// Differentiated services and ECN (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// Length of the header with its options, bytes: 20..=60.
    pub header_bytes: u8,
    /// Length of header and payload that the header declares, bytes.
    pub total_bytes: u16,
    /// What was captured of the payload, without the padding of the link.
    pub payload: Payload,
    /// Bytes of the payload that were sent but not captured (snap length).
    pub missing_bytes: usize,
}

/// Why bytes are not an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short for the header.
    #[error("IPv4 header cut: {0} bytes")]
    Short(usize),
    /// Another version of IP, or no IP.
    #[error("not IPv4: version {0}")]
    NotIpv4(u8),
    /// The header length is below 20 bytes.
    #[error("IPv4 header length {0} bytes, the least is 20")]
    BadHeaderLength(u8),
    /// The total length is below the header length.
    #[error("IPv4 total length {total_bytes} bytes, its header alone has {header_bytes}")]
    BadTotalLength {
        /// What the header says.
        total_bytes: u16,
        /// Length of the header.
        header_bytes: u8,
    },
}

impl Packet {
    /// Decodes a packet that begins with its IPv4 header.
    ///
    /// # Errors
    ///
    /// When the header is cut or contradicts itself. A cut payload is no error, see
    /// [`Packet::missing_bytes`].
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        let (mut packet, payload) = Self::header(&bytes)?;
        let mut rest = bytes;
        rest.advance(usize::from(packet.header_bytes));
        rest.truncate(payload);
        packet.missing_bytes = payload - rest.len();
        packet.payload = Payload::from(rest);
        Ok(packet)
    }

    /// Reads the header, and how long the payload should be.
    fn header(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let short = Error::Short(bytes.len());
        let first = *bytes.first().ok_or(short)?;
        if first >> 4 != 4 {
            return Err(Error::NotIpv4(first >> 4));
        }
        let header_bytes = (first & 0xf) * 4;
        if usize::from(header_bytes) < HEADER_BYTES {
            return Err(Error::BadHeaderLength(header_bytes));
        }
        let header = bytes.get(..usize::from(header_bytes)).ok_or(short)?;
        let packet = Self::fields(header_bytes, header).ok_or(short)?;
        let payload = packet
            .total_bytes
            .checked_sub(u16::from(header_bytes))
            .ok_or(Error::BadTotalLength { total_bytes: packet.total_bytes, header_bytes })?;
        Ok((packet, usize::from(payload)))
    }

    fn fields(header_bytes: u8, header: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(header);
        let [_, traffic_class] = reader.array()?;
        let total_bytes = reader.u16()?;
        let identification = reader.u16()?;
        let fragment = reader.u16()?;
        let [ttl, protocol, _, _] = reader.array()?;
        Some(Self {
            source: Ipv4Addr::from(reader.array::<4>()?),
            destination: Ipv4Addr::from(reader.array::<4>()?),
            protocol,
            identification,
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: u32::from(fragment & 0x1fff) * 8,
            ttl,
            traffic_class,
            header_bytes,
            total_bytes,
            payload: Payload::default(),
            missing_bytes: 0,
        })
    }

    /// Whether this is one fragment of a larger datagram.
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}
