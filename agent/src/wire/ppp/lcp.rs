//! Link Control Protocol (RFC 1661, RFC 1570): what each side can receive, and who must authenticate.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::wire::{Hex, read::Reader};

use super::{
    Protocol, cp,
    option::{Value, all},
};

/// A packet of LCP.
pub type Packet = cp::Packet<LcpOption>;

options! {
    /// Options of LCP (RFC 1661 §6, RFC 1570 §3, RFC 1990 §5.1).
    LcpOption of Lcp {
        /// Maximum receive unit: largest information field that the sender takes.
        Mru {
            /// Bytes; 1500 when not negotiated.
            mru: u16
        } = 1,
        /// Async control character map (RFC 1662 §7.1); of no meaning in a tunnel, but always offered.
        Accm {
            /// One bit for each control character that must be escaped.
            accm: u32
        } = 2,
        /// The sender wants the peer to authenticate itself in this way.
        AuthenticationProtocol {
            /// How.
            method: AuthenticationMethod
        } = 3,
        /// The sender wants link quality reports.
        QualityProtocol {
            /// Which and how often.
            quality: Quality
        } = 4,
        /// A number that finds loops.
        MagicNumber {
            /// Chosen at random by the sender.
            magic: u32
        } = 5,
        /// The sender takes protocol fields of one byte.
        ProtocolFieldCompression = 7,
        /// The sender takes frames without FF 03.
        AddressControlFieldCompression = 8,
        /// Frame check sequences to use (RFC 1570 §3.2).
        FcsAlternatives {
            /// Bits: 1 none, 2 16 bits, 4 32 bits.
            alternatives: u8
        } = 9,
        /// The sender pads itself (RFC 1570 §3.3).
        SelfDescribingPadding {
            /// Most padding, bytes.
            maximum: u8
        } = 10,
        /// The sender wants to be called back; Windows asks for it, servers reject it.
        Callback {
            /// How; 6 leaves it to CBCP.
            callback: Callback
        } = 13,
        /// The sender can do multilink: maximum receive reconstructed unit.
        Mrru {
            /// Bytes.
            mrru: u16
        } = 17,
        /// Multilink with sequence numbers of 12 bits.
        ShortSequenceNumbers = 18,
        /// Who the sender is, for multilink.
        EndpointDiscriminator {
            /// Class and address.
            endpoint: Endpoint
        } = 19,
        /// Number of this link among those of a bundle (RFC 2125 §7).
        LinkDiscriminator {
            /// Chosen by the sender.
            discriminator: u16
        } = 23,
    }
}

/// How the peer should authenticate itself (RFC 1661 §6.2, RFC 1994 §3, RFC 2433 §3, RFC 2759 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticationMethod {
    /// Password in clear text.
    Pap,
    /// CHAP with MD5, algorithm 5. Gives no keys for MPPE.
    ChapMd5,
    /// MS-CHAP, algorithm 0x80.
    MsChap,
    /// MS-CHAP version 2, algorithm 0x81.
    MsChapV2,
    /// EAP; what is done inside is seen there.
    Eap,
    /// Another one.
    Unknown {
        /// Protocol that authenticates.
        protocol: u16,
        /// What follows the protocol, such as the algorithm.
        data: Hex,
    },
}

impl AuthenticationMethod {
    const KNOWN: [(Self, Protocol, &'static [u8], &'static str); 5] = [
        (Self::Pap, Protocol::Pap, &[], "pap"),
        (Self::ChapMd5, Protocol::Chap, &[0x05], "chap_md5"),
        (Self::MsChap, Protocol::Chap, &[0x80], "ms_chap"),
        (Self::MsChapV2, Protocol::Chap, &[0x81], "ms_chap_v2"),
        (Self::Eap, Protocol::Eap, &[], "eap"),
    ];
}

impl Value for AuthenticationMethod {
    fn read(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let protocol = reader.u16()?;
        let data = reader.rest();
        let known = Self::KNOWN
            .into_iter()
            .find(|(_, number, algorithm, _)| number.number() == protocol && *algorithm == data);
        Some(known.map_or_else(|| Self::Unknown { protocol, data: data.into() }, |(method, ..)| method))
    }

    fn write(&self) -> Vec<u8> {
        let (protocol, data) = match self {
            Self::Unknown { protocol, data } => (*protocol, data.as_bytes()),
            known => Self::KNOWN
                .iter()
                .find(|(method, ..)| method == known)
                .map_or((0, [].as_slice()), |(_, protocol, data, _)| (protocol.number(), *data)),
        };
        [&protocol.to_be_bytes(), data].concat()
    }
}

impl fmt::Display for AuthenticationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Unknown { protocol, data } = self {
            return write!(f, "unknown_{protocol:04x}{data}");
        }
        let known = Self::KNOWN.iter().find(|(method, ..)| method == self);
        f.write_str(known.map_or("", |(.., name)| name))
    }
}

impl Serialize for AuthenticationMethod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuthenticationMethod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some((method, ..)) = Self::KNOWN.into_iter().find(|(.., name)| *name == text) {
            return Ok(method);
        }
        let unknown = || de::Error::custom(format_args!("{text:?} is no authentication protocol"));
        let digits = text.strip_prefix("unknown_").ok_or_else(unknown)?;
        let (protocol, data) = digits.split_at_checked(4).ok_or_else(unknown)?;
        let protocol = u16::from_str_radix(protocol, 16).map_err(|_| unknown())?;
        Ok(Self::Unknown { protocol, data: data.parse().map_err(|()| unknown())? })
    }
}

impl JsonSchema for AuthenticationMethod {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AuthenticationMethod".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = Self::KNOWN.map(|(.., name)| name);
        schemars::json_schema!({
            "description": "How the peer should authenticate itself; unknown_ is followed by protocol and algorithm.",
            "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^unknown_[0-9a-f]{4,}$" }],
        })
    }
}

/// Link quality reports (RFC 1661 §6.3, RFC 1989 §2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LinkQuality")]
pub struct Quality {
    /// Protocol of the reports.
    pub protocol: Protocol,
    /// Longest time between two, hundredths of a second.
    pub reporting_period: u32,
}

impl Value for Quality {
    fn read(value: &[u8]) -> Option<Self> {
        all(value, |reader| Some(Self { protocol: reader.u16()?.into(), reporting_period: reader.u32()? }))
    }

    fn write(&self) -> Vec<u8> {
        [self.protocol.number().to_be_bytes().as_slice(), &self.reporting_period.to_be_bytes()].concat()
    }
}

/// Callback (RFC 1570 §3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Callback {
    /// How the number is known; 6 negotiates it with CBCP.
    pub operation: u8,
    /// Where to call.
    pub message: Hex,
}

impl Value for Callback {
    fn read(value: &[u8]) -> Option<Self> {
        let (operation, message) = value.split_first()?;
        Some(Self { operation: *operation, message: message.into() })
    }

    fn write(&self) -> Vec<u8> {
        [&[self.operation], self.message.as_bytes()].concat()
    }
}

/// Endpoint discriminator (RFC 1990 §5.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// What the address is.
    pub class: EndpointClass,
    /// The address.
    pub address: Hex,
}

codes! {
    /// Classes of endpoint discriminators (RFC 1990 §5.1.3).
    EndpointClass: u8 {
        /// No address.
        Null = 0 "null",
        /// Chosen by the administrator.
        Local = 1 "local",
        /// IPv4.
        Ip = 2 "ip",
        /// IEEE 802.1 MAC.
        Mac = 3 "mac",
        /// Magic numbers.
        Magic = 4 "magic",
        /// Telephone number.
        PhoneNumber = 5 "phone_number",
    }
}

impl Value for Endpoint {
    fn read(value: &[u8]) -> Option<Self> {
        let (class, address) = value.split_first()?;
        Some(Self { class: (*class).into(), address: address.into() })
    }

    fn write(&self) -> Vec<u8> {
        [&[self.class.number()], self.address.as_bytes()].concat()
    }
}
