//! PPP inside the tunnel: framing (RFC 1661 §2, RFC 1662) and the protocols that set a link up.
//!
//! The order on a healthy call: [`lcp`] agrees on the link, [`pap`], [`chap`] or [`eap`] says who the
//! client is, [`ccp`] agrees on MPPE encryption, [`ipcp`] and [`ipv6cp`] give addresses; then data
//! flows, encrypted as protocol 0x00fd. LCP, authentication and the configure protocols are never
//! encrypted (RFC 3078 §3), so an observer can read them all.

use bytes::{Buf as _, Bytes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::payload::Payload;

#[macro_use]
pub(super) mod option;
pub mod cbcp;
pub mod ccp;
pub mod chap;
pub mod cp;
pub mod eap;
pub mod ipcp;
pub mod ipv6cp;
pub mod lcp;
pub mod mppe;
pub mod pap;
pub mod ras;

codes! {
    /// Protocols of PPP (IANA, Point-to-Point Protocol Field Assignments).
    Protocol: u16 {
        /// IPv4.
        Ip = 0x0021 "ip",
        /// IPv4 with a compressed TCP header (RFC 1144).
        VjCompressed = 0x002d "vj_compressed",
        /// IPv4 with the TCP header that later ones are compressed against.
        VjUncompressed = 0x002f "vj_uncompressed",
        /// A fragment of a frame (RFC 1990).
        Multilink = 0x003d "multilink",
        /// IPv6 (RFC 5072).
        Ipv6 = 0x0057 "ipv6",
        /// Compressed or encrypted by what CCP agreed on: MPPE in PPTP.
        Compressed = 0x00fd "compressed",
        /// IPv4 control.
        Ipcp = 0x8021 "ipcp",
        /// Encryption control (RFC 1968).
        Ecp = 0x8053 "ecp",
        /// IPv6 control.
        Ipv6cp = 0x8057 "ipv6cp",
        /// Compression control.
        Ccp = 0x80fd "ccp",
        /// Link control.
        Lcp = 0xc021 "lcp",
        /// Password authentication.
        Pap = 0xc023 "pap",
        /// Link quality report (RFC 1989).
        Lqr = 0xc025 "lqr",
        /// Callback control.
        Cbcp = 0xc029 "cbcp",
        /// Bandwidth allocation control (RFC 2125).
        Bacp = 0xc02b "bacp",
        /// Challenge handshake authentication.
        Chap = 0xc223 "chap",
        /// Extensible authentication.
        Eap = 0xc227 "eap",
    }
}

impl Protocol {
    /// Whether the information field is a control packet of code, identifier and length: the network
    /// control protocols from 0x8000, the link control protocols from 0xc000 (RFC 1661 §2).
    pub fn is_control(self) -> bool {
        self.number() >= 0x8000 && self != Self::Lqr
    }
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// Too short for address, control and protocol.
    #[error("PPP frame cut: {0} bytes")]
    ShortFrame(usize),
    /// Protocol numbers are odd in the low byte and even in the high byte (RFC 1661 §2).
    #[error("0x{0:04x} is not a PPP protocol number")]
    BadProtocol(u16),
    /// Too short for code, identifier and length.
    #[error("{protocol} packet cut: {present} bytes")]
    Short {
        /// Protocol of the packet.
        protocol: Protocol,
        /// Bytes that are there.
        present: usize,
    },
    /// The length is below 4 or beyond the frame.
    #[error("{protocol} packet with length {length}, {present} bytes are there")]
    Length {
        /// Protocol of the packet.
        protocol: Protocol,
        /// Length field.
        length: u16,
        /// Bytes that are there.
        present: usize,
    },
    /// A field that the code demands is missing or cut.
    #[error("{protocol} packet with code {code} lacks a field")]
    Field {
        /// Protocol of the packet.
        protocol: Protocol,
        /// Its code.
        code: u8,
    },
    /// The length of an option is below 2 or beyond the packet.
    #[error("{protocol} option {kind} has an impossible length")]
    Option {
        /// Protocol of the packet.
        protocol: Protocol,
        /// Type of the option.
        kind: u8,
    },
}

/// A frame without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framed {
    /// What the information field is.
    pub protocol: Protocol,
    /// FF 03 was left out: address and control field compression (RFC 1661 §6.6).
    pub address_control_compressed: bool,
    /// The protocol had one byte: protocol field compression (RFC 1661 §6.5).
    pub protocol_compressed: bool,
    /// What was captured of the information field.
    pub information: Payload,
    /// Bytes of it that were sent but not captured.
    pub missing_bytes: usize,
}

impl Framed {
    /// Takes the framing off the payload of a GRE packet, of which the capture lacks `missing_bytes` at the end.
    ///
    /// All four combinations of address/control and protocol field compression are accepted, whether they
    /// were negotiated or not: receivers do so too.
    ///
    /// # Errors
    ///
    /// When the protocol is cut or impossible.
    pub fn decode(bytes: Bytes, missing_bytes: usize) -> Result<Self, Error> {
        let short = Error::ShortFrame(bytes.len());
        let mut rest = bytes;
        let address_control_compressed = !rest.starts_with(&[0xff, 0x03]);
        if !address_control_compressed {
            rest.advance(2);
        }
        let first = *rest.first().ok_or(short)?;
        let protocol_compressed = first & 1 == 1;
        let number = if protocol_compressed {
            rest.advance(1);
            u16::from(first)
        } else {
            rest.try_get_u16().map_err(|_| short)?
        };
        if number & 1 == 0 {
            return Err(Error::BadProtocol(number));
        }
        Ok(Self {
            protocol: Protocol::from(number),
            address_control_compressed,
            protocol_compressed,
            information: Payload::from(rest),
            missing_bytes,
        })
    }

    /// Header of an encrypted or compressed packet; None for other protocols.
    pub fn mppe(&self) -> Option<mppe::Header> {
        (self.protocol == Protocol::Compressed).then(|| mppe::Header::decode(&self.information)).flatten()
    }
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "protocol", rename_all = "snake_case")]
#[schemars(rename = "PppFrame")]
pub enum Frame {
    /// Link control.
    Lcp(lcp::Packet),
    /// Password authentication.
    Pap(pap::Packet),
    /// Challenge handshake authentication.
    Chap(chap::Packet),
    /// Extensible authentication.
    Eap(eap::Packet),
    /// Callback control.
    Cbcp(cbcp::Packet),
    /// Compression control.
    Ccp(ccp::Packet),
    /// IPv4 control.
    Ipcp(ipcp::Packet),
    /// IPv6 control.
    Ipv6cp(ipv6cp::Packet),
    /// Another control protocol, or a packet whose fields the capture cut.
    Other {
        /// Which.
        #[serde(rename = "name")]
        protocol: Protocol,
        /// Code of the packet, a number.
        code: u8,
        /// Identifier of the packet.
        id: u8,
    },
    /// Network data, encrypted data, link quality reports: contents are not looked at.
    Data {
        /// Which.
        #[serde(rename = "name")]
        protocol: Protocol,
    },
}

impl Frame {
    /// Decodes a frame with its framing, of which the capture lacks `missing_bytes` at the end.
    ///
    /// # Errors
    ///
    /// When framing, lengths or fields are impossible.
    pub fn decode(bytes: Bytes, missing_bytes: usize) -> Result<Self, Error> {
        Self::of(&Framed::decode(bytes, missing_bytes)?)
    }

    /// Decodes the information field of a frame. Where the capture cut the fields of a control packet, its
    /// code and identifier are left: [`Frame::Other`].
    ///
    /// # Errors
    ///
    /// When lengths or fields are impossible.
    pub fn of(framed: &Framed) -> Result<Self, Error> {
        let protocol = framed.protocol;
        Self::fields(framed).or_else(|error| {
            let raw = cp::Raw::decode(protocol, &framed.information, framed.missing_bytes);
            match raw {
                Ok(raw) if raw.cut => Ok(Self::Other { protocol, code: raw.code, id: raw.id }),
                _ => Err(error),
            }
        })
    }

    fn fields(framed: &Framed) -> Result<Self, Error> {
        let (bytes, missing) = (&*framed.information, framed.missing_bytes);
        Ok(match framed.protocol {
            Protocol::Lcp => Self::Lcp(lcp::Packet::decode(bytes, missing)?),
            Protocol::Pap => Self::Pap(pap::Packet::decode(bytes, missing)?),
            Protocol::Chap => Self::Chap(chap::Packet::decode(bytes, missing)?),
            Protocol::Eap => Self::Eap(eap::Packet::decode(bytes, missing)?),
            Protocol::Cbcp => Self::Cbcp(cbcp::Packet::decode(bytes, missing)?),
            Protocol::Ccp => Self::Ccp(ccp::Packet::decode(bytes, missing)?),
            Protocol::Ipcp => Self::Ipcp(ipcp::Packet::decode(bytes, missing)?),
            Protocol::Ipv6cp => Self::Ipv6cp(ipv6cp::Packet::decode(bytes, missing)?),
            protocol if protocol.is_control() => {
                let raw = cp::Raw::decode(protocol, bytes, missing)?;
                Self::Other { protocol, code: raw.code, id: raw.id }
            }
            protocol => Self::Data { protocol },
        })
    }

    /// Protocol of the frame.
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Lcp(_) => Protocol::Lcp,
            Self::Pap(_) => Protocol::Pap,
            Self::Chap(_) => Protocol::Chap,
            Self::Eap(_) => Protocol::Eap,
            Self::Cbcp(_) => Protocol::Cbcp,
            Self::Ccp(_) => Protocol::Ccp,
            Self::Ipcp(_) => Protocol::Ipcp,
            Self::Ipv6cp(_) => Protocol::Ipv6cp,
            Self::Other { protocol, .. } | Self::Data { protocol } => *protocol,
        }
    }

    /// Identifier of a control packet; None for data.
    pub const fn id(&self) -> Option<u8> {
        Some(match self {
            Self::Lcp(packet) => packet.id,
            Self::Pap(packet) => packet.id,
            Self::Chap(packet) => packet.id,
            Self::Eap(packet) => packet.id,
            Self::Cbcp(packet) => packet.id,
            Self::Ccp(packet) => packet.id,
            Self::Ipcp(packet) => packet.id,
            Self::Ipv6cp(packet) => packet.id,
            Self::Other { id, .. } => *id,
            Self::Data { .. } => return None,
        })
    }

    /// Name of the code of a control packet in lower snake case; None for data.
    pub fn code_name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Lcp(packet) => packet.code().name(),
            Self::Pap(packet) => packet.code().name(),
            Self::Chap(packet) => packet.code().name(),
            Self::Eap(packet) => packet.code.name(),
            Self::Cbcp(packet) => packet.code.name(),
            Self::Ccp(packet) => packet.code().name(),
            Self::Ipcp(packet) => packet.code().name(),
            Self::Ipv6cp(packet) => packet.code().name(),
            Self::Other { protocol: Protocol::Pap, code, .. } => pap::Code::from(*code).name(),
            Self::Other { protocol: Protocol::Chap, code, .. } => chap::Code::from(*code).name(),
            Self::Other { protocol: Protocol::Cbcp, code, .. } => cbcp::Code::from(*code).name(),
            Self::Other { protocol: Protocol::Eap, code, .. } => eap::Code::from(*code).name(),
            Self::Other { code, .. } => cp::Code::from(*code).name(),
            Self::Data { .. } => return None,
        })
    }
}

/// Writes a frame in full framing: FF 03 and two bytes of protocol.
pub fn encode_frame(protocol: Protocol, information: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff, 0x03];
    out.extend(protocol.number().to_be_bytes());
    out.extend(information);
    out
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
