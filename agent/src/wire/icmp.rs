//! ICMP errors about a call (RFC 792, RFC 1191).
//!
//! An error quotes the IP header of the packet it complains about and at least 8 bytes after it:
//! enough to know the call or the control connection.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::{ip, read::Reader};

codes! {
    /// Types of ICMP message that report an error.
    Kind: u8 {
        /// See [`Unreachable`].
        DestinationUnreachable = 3 "destination_unreachable",
        /// Obsolete (RFC 6633).
        SourceQuench = 4 "source_quench",
        /// A router suggests another.
        Redirect = 5 "redirect",
        /// The TTL ran out on the way (code 0) or in reassembly (code 1).
        TimeExceeded = 11 "time_exceeded",
        /// A header field is wrong.
        ParameterProblem = 12 "parameter_problem",
    }
}

codes! {
    /// Codes of destination unreachable (RFC 792, RFC 1812 §5.2.7.1).
    Unreachable: u8 {
        /// No route to the network.
        Network = 0 "network",
        /// No answer from the host on its last link.
        Host = 1 "host",
        /// The host has no receiver for the protocol: for GRE, no PPTP endpoint is listening.
        Protocol = 2 "protocol",
        /// Nothing listens on the port.
        Port = 3 "port",
        /// The packet is larger than the next link and DF forbids fragments.
        FragmentationNeeded = 4 "fragmentation_needed",
        /// The source route does not work.
        SourceRoute = 5 "source_route",
        /// A filter forbids the network.
        NetworkProhibited = 9 "network_prohibited",
        /// A filter forbids the host.
        HostProhibited = 10 "host_prohibited",
        /// A filter forbids the packet.
        AdministrativelyProhibited = 13 "administratively_prohibited",
    }
}

/// An ICMP error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Type of the message.
    pub kind: Kind,
    /// Code of the message; for [`Kind::DestinationUnreachable`] an [`Unreachable`].
    pub code: u8,
    /// Largest packet that the next link takes (RFC 1191), with fragmentation needed; absent from
    /// old routers. Bytes.
    pub next_hop_mtu: Option<u16>,
    /// The packet that caused the error.
    pub quoted: Quoted,
}

/// What the error quotes of the packet that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Who sent the packet and now receives the error.
    pub source: Ipv4Addr,
    /// Where it was going.
    pub destination: Ipv4Addr,
    /// Total length of the packet, bytes.
    pub total_bytes: u16,
    /// Its identification.
    pub identification: u16,
    /// Whether DF was set.
    pub dont_fragment: bool,
    /// What it carried.
    pub transport: Transport,
}

/// The first bytes after the quoted IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Enhanced GRE (version 1) of this call, numbered by the packet's receiver.
    Gre {
        /// Call of the packet.
        call_id: u16,
    },
    /// A TCP segment.
    Tcp {
        /// Port of the quoted packet's sender.
        source_port: u16,
        /// Port of the quoted packet's receiver.
        destination_port: u16,
        /// Its sequence number.
        sequence: u32,
    },
    /// Another protocol, another version of GRE, or a fragment other than the first.
    Other {
        /// IP protocol number.
        protocol: u8,
    },
}

/// Why bytes are not an ICMP error with a readable quotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too short for the header.
    #[error("ICMP header cut: {0} bytes")]
    Short(usize),
    /// A message that reports no error, such as an echo.
    #[error("ICMP type {0} is not an error")]
    NotError(u8),
    /// The quoted IP header is garbled.
    #[error("packet quoted by ICMP: {0}")]
    Quoted(#[from] ip::Error),
    /// The quoted packet has less than 8 bytes after its IP header.
    #[error("packet quoted by ICMP: cut after its IP header")]
    QuotedShort,
}

impl Error {
    /// Decodes the payload of an IP packet with protocol [`ip::PROTOCOL_ICMP`].
    ///
    /// # Errors
    ///
    /// When it is no ICMP error, or the quotation does not tell the connection.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let short = DecodeError::Short(bytes.len());
        let mut reader = Reader::new(&bytes);
        let [kind, code, _, _, _, _] = reader.array().ok_or(short)?;
        let mtu = reader.u16().ok_or(short)?;
        let header_bytes = bytes.len() - reader.rest().len();
        let kind = match Kind::from(kind) {
            Kind::Unknown(number) => return Err(DecodeError::NotError(number)),
            known => known,
        };
        let needed =
            (kind, code) == (Kind::DestinationUnreachable, Unreachable::FragmentationNeeded.number());
        Ok(Self {
            kind,
            code,
            next_hop_mtu: (needed && mtu != 0).then_some(mtu),
            quoted: Quoted::decode(bytes.slice(header_bytes..))?,
        })
    }

    /// Meaning of [`Error::code`], where the kind is destination unreachable.
    pub fn unreachable(&self) -> Option<Unreachable> {
        (self.kind == Kind::DestinationUnreachable).then(|| Unreachable::from(self.code))
    }
}

impl Quoted {
    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let packet = ip::Packet::decode(bytes)?;
        Ok(Self {
            source: packet.source,
            destination: packet.destination,
            total_bytes: packet.total_bytes,
            identification: packet.identification,
            dont_fragment: packet.dont_fragment,
            transport: Transport::decode(&packet).ok_or(DecodeError::QuotedShort)?,
        })
    }
}

impl Transport {
    fn decode(packet: &ip::Packet) -> Option<Self> {
        let other = Self::Other { protocol: packet.protocol };
        if packet.fragment_offset != 0 {
            return Some(other);
        }
        let mut reader = Reader::new(&packet.payload);
        let [a, b, c, d] = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        Some(match packet.protocol {
            ip::PROTOCOL_GRE if a & 0x2007 == 0x2001 && b == super::gre::PROTOCOL_PPP => {
                Self::Gre { call_id: d }
            }
            ip::PROTOCOL_TCP => {
                Self::Tcp { source_port: a, destination_port: b, sequence: u32::from(c) << 16 | u32::from(d) }
            }
            _ => other,
        })
    }
}
