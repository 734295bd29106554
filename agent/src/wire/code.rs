//! Numbers with names: the codes and bit masks of the protocols.
//!
//! A code keeps the number it was decoded from, also when no RFC names it. It is written as its
//! name in lower snake case, or as `unknown_7`.

use schemars::Schema;

/// Defines an enum of named numbers with `Unknown` for the rest: `From` in both directions, `name`,
/// `Display`, `Serialize`, `Deserialize` and `JsonSchema` (always a string; `as` gives its name in the schema).
macro_rules! codes {
    ($(#[doc = $doc:expr])* $name:ident: $int:ty $(as $schema:literal)? {
        $($(#[doc = $vdoc:expr])* $variant:ident = $number:literal $text:literal,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[doc = $vdoc])* $variant,)*
            /// A number that no RFC names.
            Unknown($int),
        }

        impl $name {
            /// Standard name in lower snake case; `unknown` without the number.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// The number on the wire.
            pub const fn number(self) -> $int {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Unknown(number) => number,
                }
            }
        }

        impl From<$int> for $name {
            fn from(number: $int) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::Unknown(number),
                }
            }
        }

        impl From<$name> for $int {
            fn from(code: $name) -> Self {
                code.number()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Unknown(number) => write!(f, "unknown_{number}"),
                    known => f.write_str(known.name()),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                match text.as_str() {
                    $($text => Ok(Self::$variant),)*
                    other => $crate::wire::code::unknown_number(other).map(<$int>::into),
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                let names: &[&str] = &[$($schema,)? stringify!($name)];
                names[0].into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::wire::code::code_schema(&[$($doc),*], &[$($text),*])
            }
        }
    };
}

/// Defines a bit mask whose bits have names: written as a list of names, or `bit_5`.
macro_rules! flags {
    ($(#[doc = $doc:expr])* $name:ident: $int:ty {
        $($(#[doc = $vdoc:expr])* $constant:ident = $bit:literal $text:literal,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(
            /// The bits on the wire.
            pub $int,
        );

        impl $name {
            $($(#[doc = $vdoc])* pub const $constant: Self = Self($bit);)*

            /// Whether all bits of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Names of the bits that are set, lowest first.
            pub fn names(self) -> impl Iterator<Item = std::borrow::Cow<'static, str>> {
                (0..<$int>::BITS).filter(move |bit| self.0 >> bit & 1 == 1).map(|bit| match (1 as $int) << bit {
                    $($bit => $text.into(),)*
                    _ => format!("bit_{bit}").into(),
                })
            }
        }

        impl From<$int> for $name {
            fn from(bits: $int) -> Self {
                Self(bits)
            }
        }

        impl From<$name> for $int {
            fn from(flags: $name) -> Self {
                flags.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.names())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let names = <Vec<String> as serde::Deserialize>::deserialize(deserializer)?;
                let mut bits = 0;
                for name in &names {
                    bits |= match name.as_str() {
                        $($text => $bit,)*
                        other => (1 as $int)
                            .checked_shl($crate::wire::code::bit_number(other)?)
                            .ok_or_else(|| serde::de::Error::custom(format_args!("there is no {other}")))?,
                    };
                }
                Ok(Self(bits))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::wire::code::flags_schema(&[$($doc),*], &[$($text),*])
            }
        }
    };
}

/// The number in `unknown_7`.
pub(crate) fn unknown_number<T: std::str::FromStr, E: serde::de::Error>(name: &str) -> Result<T, E> {
    let number = name.strip_prefix("unknown_").and_then(|number| number.parse().ok());
    number.ok_or_else(|| E::custom(format_args!("{name:?} is not one of the names")))
}

/// The number in `bit_5`.
pub(crate) fn bit_number<E: serde::de::Error>(name: &str) -> Result<u32, E> {
    let number = name.strip_prefix("bit_").and_then(|number| number.parse().ok());
    number.ok_or_else(|| E::custom(format_args!("{name:?} is not one of the names")))
}

/// Schema of a code: one of the names, or `unknown_N`.
pub(crate) fn code_schema(doc: &[&str], names: &[&str]) -> Schema {
    schemars::json_schema!({
        "description": description(doc),
        "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^unknown_[0-9]+$" }],
    })
}

/// Schema of a bit mask: a list of names, or `bit_N`.
pub(crate) fn flags_schema(doc: &[&str], names: &[&str]) -> Schema {
    schemars::json_schema!({
        "description": description(doc),
        "type": "array",
        "items": { "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^bit_[0-9]+$" }] },
    })
}

fn description(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
