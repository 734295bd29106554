//! Values of attributes: as long as their type says, no more and no less.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::codes::{
    AcctAuthentic, AcctStatusType, ErrorCause, FramedProtocol, MppePolicy, NasPortType, RadiusMppeTypes,
    ServiceType, TerminateCause, TunnelMediumType, TunnelType,
};
use crate::wire::ppp::chap::{FailureCode, Message};
use crate::wire::ppp::option::Value;
use crate::wire::text;

/// Text is UTF-8 (RFC 2865 §5); a NUL at its end, as some servers send it, is no part of it.
impl Value for String {
    fn read(value: &[u8]) -> Option<Self> {
        Some(text::escape(value.strip_suffix(&[0]).unwrap_or(value)))
    }
    fn write(&self) -> Vec<u8> {
        self.clone().into_bytes()
    }
}

macro_rules! number_value {
    ($($name:ty),*) => {$(
        impl Value for $name {
            fn read(value: &[u8]) -> Option<Self> {
                u32::read(value).map(Self::from)
            }
            fn write(&self) -> Vec<u8> {
                u32::from(*self).write()
            }
        }
    )*};
}

number_value!(
    AcctAuthentic,
    AcctStatusType,
    ErrorCause,
    FramedProtocol,
    MppePolicy,
    NasPortType,
    RadiusMppeTypes,
    ServiceType,
    TerminateCause
);

/// A value of a tunnel attribute, with the number that groups those of one tunnel (RFC 2868 §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusTagged_{T}")]
pub struct Tagged<T> {
    /// Group; 0 when there is only one tunnel.
    pub tag: u8,
    /// The value.
    pub value: T,
}

macro_rules! tagged_number {
    ($($name:ty),*) => {$(
        /// One byte of tag, three bytes of value.
        impl Value for Tagged<$name> {
            fn read(value: &[u8]) -> Option<Self> {
                let number = u32::read(value)?;
                let [tag, ..] = number.to_be_bytes();
                Some(Self { tag, value: (number & 0x00ff_ffff).into() })
            }
            fn write(&self) -> Vec<u8> {
                (u32::from(self.tag) << 24 | u32::from(self.value) & 0x00ff_ffff).write()
            }
        }
    )*};
}

tagged_number!(TunnelType, TunnelMediumType);

/// The tag of a text is there only when it is below 0x20 (RFC 2868 §3.3).
impl Value for Tagged<String> {
    fn read(value: &[u8]) -> Option<Self> {
        let (tag, text) = match value.split_first() {
            Some((tag, text)) if *tag < 0x20 => (*tag, text),
            _ => (0, value),
        };
        Some(Self { tag, value: String::read(text)? })
    }
    fn write(&self) -> Vec<u8> {
        [&[self.tag], self.value.as_bytes()].concat()
    }
}

/// Text after the identifier of the PPP packet that it belongs to (RFC 2548 §2.1.7, §2.1.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusIdentified")]
pub struct Identified {
    /// Identifier of the CHAP packet.
    pub id: u8,
    /// The text.
    pub text: String,
}

impl Value for Identified {
    fn read(value: &[u8]) -> Option<Self> {
        let (id, text) = value.split_first()?;
        Some(Self { id: *id, text: text::escape(text) })
    }
    fn write(&self) -> Vec<u8> {
        [&[self.id], self.text.as_bytes()].concat()
    }
}

/// What the VPN server is to tell the client in CHAP Failure (RFC 2548 §2.1.5): `E=691 R=1 V=3 M=…`.
/// The new challenge (`C=`) was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusChapError")]
pub struct ChapError {
    /// Identifier of the CHAP packet.
    pub id: u8,
    /// `E=`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureCode>,
    /// `R=`: whether the client may try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<bool>,
    /// `V=`: version of the password change protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// More, in words.
    pub message: String,
}

impl Value for ChapError {
    fn read(value: &[u8]) -> Option<Self> {
        // Some servers leave the identifier out.
        let (id, text) = match value.split_first() {
            Some(_) if value.starts_with(b"E=") => (0, value),
            Some((id, text)) => (*id, text),
            None => return None,
        };
        let Message { error, retry, version, text } = Message::parse(text);
        Some(Self { id, error, retry, version, message: text })
    }

    fn write(&self) -> Vec<u8> {
        let mut words = Vec::new();
        words.extend(self.error.map(|error| format!("E={}", error.number())));
        words.extend(self.retry.map(|retry| format!("R={}", u8::from(retry))));
        words.extend(self.version.map(|version| format!("V={version}")));
        words.push(format!("M={}", self.message));
        [&[self.id], words.join(" ").as_bytes()].concat()
    }
}
