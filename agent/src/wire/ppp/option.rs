//! Options whose value is one number, a table for each protocol.

use std::net::Ipv4Addr;

use crate::wire::{Hex, read::Reader};

/// The value of an option: as long as its type says, no more and no less.
pub(in crate::wire) trait Value: Sized {
    fn read(value: &[u8]) -> Option<Self>;
    fn write(&self) -> Vec<u8>;
}

macro_rules! integer_value {
    ($($int:ty),*) => {$(
        impl Value for $int {
            fn read(value: &[u8]) -> Option<Self> {
                value.try_into().ok().map(Self::from_be_bytes)
            }
            fn write(&self) -> Vec<u8> {
                self.to_be_bytes().into()
            }
        }
    )*};
}

integer_value!(u8, u16, u32, u64);

impl Value for Ipv4Addr {
    fn read(value: &[u8]) -> Option<Self> {
        u32::read(value).map(Self::from)
    }
    fn write(&self) -> Vec<u8> {
        self.octets().into()
    }
}

impl Value for Hex {
    fn read(value: &[u8]) -> Option<Self> {
        Some(Self::from(value))
    }
    fn write(&self) -> Vec<u8> {
        self.as_bytes().into()
    }
}

/// Reads the fields of a value that has several; None unless they fill it.
pub(super) fn all<T>(value: &[u8], fields: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
    let mut reader = Reader::new(value);
    fields(&mut reader).filter(|_| reader.is_empty())
}

/// Defines the options of a configure protocol: `Name = type` for a flag without value,
/// `Name { field: Type } = type` for one with a [`Value`].
///
/// An option of another type, or whose value has another length than its RFC demands, is `Unknown` and
/// keeps its bytes.
macro_rules! options {
    ($(#[doc = $doc:expr])* $name:ident of $protocol:ident {
        $($(#[doc = $vdoc:expr])* $variant:ident $({ $(#[doc = $fdoc:expr])* $field:ident: $ty:ty })? = $number:literal,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(tag = "option", rename_all = "snake_case")]
        pub enum $name {
            $($(#[doc = $vdoc])* $variant $({ $(#[doc = $fdoc])* $field: $ty })?,)*
            /// A type that we do not know, or a value that does not have the form of its type.
            Unknown {
                /// Type of the option.
                #[serde(rename = "type")]
                kind: u8,
                /// Its value.
                value: $crate::wire::Hex,
            },
        }

        impl $crate::wire::ppp::cp::ConfigureOption for $name {
            const PROTOCOL: $crate::wire::ppp::Protocol = $crate::wire::ppp::Protocol::$protocol;

            fn decode(kind: u8, value: &[u8]) -> Self {
                let known = match kind {
                    $($number => options!(@decode value $variant $($field: $ty)?),)*
                    _ => None,
                };
                known.unwrap_or_else(|| Self::Unknown { kind, value: value.into() })
            }

            fn encode(&self) -> (u8, Vec<u8>) {
                match self {
                    $(Self::$variant $({ $field })? => ($number, options!(@encode $($field)?)),)*
                    Self::Unknown { kind, value } => (*kind, value.as_bytes().into()),
                }
            }
        }
    };
    (@decode $value:ident $variant:ident) => { $value.is_empty().then_some(Self::$variant) };
    (@decode $value:ident $variant:ident $field:ident: $ty:ty) => {
        <$ty as $crate::wire::ppp::option::Value>::read($value).map(|$field| Self::$variant { $field })
    };
    (@encode) => { Vec::new() };
    (@encode $field:ident) => { $crate::wire::ppp::option::Value::write($field) };
}
