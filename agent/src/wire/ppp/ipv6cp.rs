//! IPv6 Control Protocol (RFC 5072): the interface identifier of the link-local address.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::wire::Hex;

use super::{cp, option::Value};

/// A packet of IPV6CP.
pub type Packet = cp::Packet<Ipv6cpOption>;

options! {
    /// Options of IPV6CP (RFC 5072 §4).
    Ipv6cpOption of Ipv6cp {
        /// Low half of the sender's link-local address, or 0 to ask for one.
        InterfaceIdentifier {
            /// The identifier.
            identifier: InterfaceIdentifier
        } = 1,
        /// The sender takes compressed headers (RFC 5172).
        Ipv6Compression {
            /// Protocol and its parameters.
            value: Hex
        } = 2,
    }
}

/// Low half of an IPv6 address, written as in one: `0211:22ff:fe33:4455`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct InterfaceIdentifier(
    /// The 64 bits.
    pub u64,
);

impl fmt::Display for InterfaceIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bits) = self;
        write!(
            f,
            "{:04x}:{:04x}:{:04x}:{:04x}",
            bits >> 48,
            bits >> 32 & 0xffff,
            bits >> 16 & 0xffff,
            bits & 0xffff
        )
    }
}

impl Serialize for InterfaceIdentifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InterfaceIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unknown = || de::Error::custom(format_args!("{text:?} is no interface identifier"));
        let digits: String = text.split(':').collect();
        let is_ours = text.split(':').count() == 4 && text.split(':').all(|part| part.len() == 4);
        u64::from_str_radix(&digits, 16).ok().filter(|_| is_ours).map(Self).ok_or_else(unknown)
    }
}

impl Value for InterfaceIdentifier {
    fn read(value: &[u8]) -> Option<Self> {
        u64::read(value).map(Self)
    }

    fn write(&self) -> Vec<u8> {
        self.0.write()
    }
}
