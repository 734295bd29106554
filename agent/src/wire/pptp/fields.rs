//! Reading and writing the fields of a control message: one line per field, both ways.

use crate::wire::{read::Reader, text};

use super::codes::{
    Bearer, DisconnectResult, Framing, GeneralError, IncomingCallResult, OutgoingCallResult, SimpleResult,
    StartResult, StopReason,
};

/// A field that reads and writes itself.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! integer_field {
    ($int:ty: $($name:ty),*) => {
        impl Field for $int {
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                reader.array().map(Self::from_be_bytes)
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
        }
        $(impl Field for $name {
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                reader.array().map(<$int>::from_be_bytes).map(Self::from)
            }
            fn write(&self, out: &mut Vec<u8>) {
                out.extend(<$int>::from(*self).to_be_bytes());
            }
        })*
    };
}

integer_field!(u8: GeneralError, StartResult, StopReason, SimpleResult, OutgoingCallResult,
    IncomingCallResult, DisconnectResult);
integer_field!(u16:);
integer_field!(u32: Framing, Bearer);

/// Text in a field of `N` bytes that a NUL ends early (host, vendor, numbers, statistics).
pub(super) fn read_text<const N: usize>(reader: &mut Reader<'_>) -> Option<String> {
    reader.take(N).map(text::escape_field)
}

/// Writes what fits; what was escaped stays escaped.
pub(super) fn write_text<const N: usize>(value: &str, out: &mut Vec<u8>) {
    let end = out.len() + N;
    out.extend(value.bytes().take(N));
    out.resize(end, 0);
}

/// Defines the body of a control message: its fields in the order of the wire, where `@N` skips N
/// reserved bytes and `[N]` is text in N bytes.
macro_rules! body {
    ($(#[doc = $doc:expr])* $name:ident { $($fields:tt)* }) => {
        body!(@parse [$(#[doc = $doc])*] $name [] [] [] $($fields)*);
    };
    (@parse $docs:tt $name:ident $decl:tt [$($step:tt)*] $names:tt @$skip:literal, $($rest:tt)*) => {
        body!(@parse $docs $name $decl [$($step)* (skip $skip)] $names $($rest)*);
    };
    (@parse $docs:tt $name:ident [$($decl:tt)*] [$($step:tt)*] [$($names:tt)*]
        $(#[doc = $doc:expr])* $field:ident: [$len:literal], $($rest:tt)*) => {
        body!(@parse $docs $name [$($decl)* $(#[doc = $doc])* pub $field: String,]
            [$($step)* (text $field $len)] [$($names)* $field,] $($rest)*);
    };
    (@parse $docs:tt $name:ident [$($decl:tt)*] [$($step:tt)*] [$($names:tt)*]
        $(#[doc = $doc:expr])* $field:ident: $ty:ty, $($rest:tt)*) => {
        body!(@parse $docs $name [$($decl)* $(#[doc = $doc])* pub $field: $ty,]
            [$($step)* (field $field)] [$($names)* $field,] $($rest)*);
    };
    (@parse [$(#[doc = $doc:expr])*] $name:ident [$($decl:tt)*] [$($step:tt)*] [$($names:tt)*]) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        pub struct $name { $($decl)* }

        impl $name {
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $(body!(@read reader $step);)*
                Some(Self { $($names)* })
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(body!(@write self out $step);)*
            }
        }
    };
    (@read $reader:ident (skip $skip:literal)) => { $reader.take($skip)?; };
    (@read $reader:ident (text $field:ident $len:literal)) => {
        let $field = $crate::wire::pptp::fields::read_text::<$len>($reader)?;
    };
    (@read $reader:ident (field $field:ident)) => {
        let $field = $crate::wire::pptp::fields::Field::read($reader)?;
    };
    (@write $self:ident $out:ident (skip $skip:literal)) => { $out.resize($out.len() + $skip, 0); };
    (@write $self:ident $out:ident (text $field:ident $len:literal)) => {
        $crate::wire::pptp::fields::write_text::<$len>(&$self.$field, $out);
    };
    (@write $self:ident $out:ident (field $field:ident)) => {
        $crate::wire::pptp::fields::Field::write(&$self.$field, $out);
    };
}
