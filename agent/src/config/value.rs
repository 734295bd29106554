//! Values of options: what they may be is part of their types, so that the command line, the files and the
//! manual cannot differ.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// `number`, or the nearest one that is allowed.
    pub const fn near(number: u32) -> Self {
        // `clamp` is no const function.
        Self(if number < MIN {
            MIN
        } else if number > MAX {
            MAX
        } else {
            number
        })
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn new(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(format!("{number} is not from {MIN} to {MAX}")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Number<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text.parse().map_err(|_| format!("`{text}` is not a number from {MIN} to {MAX}"))?)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<const MIN: u32, const MAX: u32> Serialize for Number<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Number<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("NumberFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// Size of the ring: a power of two and a multiple of the page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RingBytes(u32);

impl RingBytes {
    /// A MiB.
    pub const DEFAULT: Self = Self(1 << 20);

    /// Bytes.
    pub const fn get(self) -> u32 {
        self.0
    }

    fn new(bytes: i64) -> Result<Self, String> {
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 30).contains(bytes))
            .map(Self)
            .ok_or_else(|| format!("{bytes} is not a power of two from 4096 to 1073741824"))
    }
}

impl FromStr for RingBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text.parse().map_err(|error| format!("{error}"))?)
    }
}

impl<'de> Deserialize<'de> for RingBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for RingBytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RingBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 4096, "maximum": 1 << 30})
    }
}

/// A number of bytes, or one with a unit: 64K, 100M, 2G (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(u64);

impl Bytes {
    /// How many.
    pub const fn get(self) -> u64 {
        self.0
    }
}

const NO_SIZE: &str = "a size is a number of bytes, or one with a unit: 64K, 100M, 2G";

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("K", 10), ("M", 20), ("G", 30)];
        let with_unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let (number, shift) = with_unit.unwrap_or((text, 0));
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.filter(|bytes| *bytes > 0).map(Self).ok_or_else(|| NO_SIZE.to_owned())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(number) => number.to_string().parse().map_err(de::Error::custom),
            toml::Value::String(text) => text.parse().map_err(de::Error::custom),
            _ => Err(de::Error::custom(NO_SIZE)),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("G", 30), ("M", 20), ("K", 10)];
        match units.iter().find(|(_, shift)| self.0.trailing_zeros() >= *shift) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["integer", "string"], "pattern": "^[0-9]+[KMG]?$"})
    }
}

/// A length of time: 24h, 30m, 1h 30m.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(Duration);

impl Age {
    /// How long.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = text.parse::<jiff::SignedDuration>().ok();
        span.and_then(|span| Duration::try_from(span).ok())
            .filter(|age| !age.is_zero())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no age: 24h, 30m, 1h 30m"))
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX);
        serializer.collect_str(&format_args!("{span:#}"))
    }
}

impl JsonSchema for Age {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Age".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_bounds() {
        type Seconds = Number<1, 86_400>;
        assert_eq!("86400".parse::<Seconds>().map(Number::get), Ok(86_400));
        for text in ["0", "86401", "-1", "x", "", "99999999999999999999"] {
            assert!(text.parse::<Seconds>().unwrap_err().contains("from 1 to 86400"), "{text}");
        }
        assert_eq!((Seconds::near(0).get(), Seconds::near(u32::MAX).get()), (1, 86_400));
    }

    #[test]
    fn sizes_and_ages_are_written_as_they_are_read() {
        for text in ["1", "1023", "64K", "100M", "2G", "1025K"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for text in ["0", "K", "-1", "99999999999G", "1T", "\u{b5}"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["24h", "1h 30m", "7d", "90s"] {
            let Ok(age) = text.parse::<Age>() else { continue };
            let written = toml::Value::try_from(age).unwrap();
            assert_eq!(written.as_str().unwrap().parse::<Age>().unwrap(), age, "{text} as {written}");
        }
        for ring in ["4095", "4097", "0", "2147483648", "-4096"] {
            assert!(ring.parse::<RingBytes>().is_err(), "{ring}");
        }
    }
}
