//! Points in time, as every source and every event gives them.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339, UTC, nine digits.
///
/// One more than that is held, so that it is not zero: each call has dozens of points that may be absent, and
/// they take no more room than those that are there. Of the year 2554 the last nanosecond is missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The point `nanoseconds` after the epoch.
    pub const fn from_unix_ns(nanoseconds: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds))
    }

    /// Nanoseconds since the epoch.
    pub const fn unix_ns(self) -> u64 {
        self.0.get() - 1
    }

    /// Nanoseconds from `earlier` to `self`; zero when the clock went back.
    pub const fn ns_since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

impl Default for Timestamp {
    /// The epoch.
    fn default() -> Self {
        Self::from_unix_ns(0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.unix_ns()).finish()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ns))
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// From RFC 3339.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at: jiff::Timestamp = text.parse()?;
        u64::try_from(at.as_nanosecond())
            .map(Self::from_unix_ns)
            .map_err(|_| jiff::Error::from_args(format_args!("before 1970 or after 2554")))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A u64 of nanoseconds ends in the year 2554, well inside what jiff can show.
        match jiff::Timestamp::from_nanosecond(i128::from(self.unix_ns())) {
            Ok(at) => write!(f, "{at:.9}"),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "RFC 3339, UTC, nanoseconds",
            "type": "string",
            "format": "date-time"
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Timestamp;

    #[test]
    fn shows_nine_digits_and_utc() {
        let at = Timestamp::from_unix_ns(1_700_000_000_000_000_120);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.000000120Z");
        assert_eq!(Timestamp::from_unix_ns(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert!(Timestamp::from_unix_ns(u64::MAX).to_string().starts_with("2554-"));
    }

    #[test]
    fn one_that_may_be_absent_takes_no_more_room() {
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<u64>());
        for ns in [0, 1, 1_700_000_000_000_000_120, u64::MAX - 1] {
            assert_eq!(Timestamp::from_unix_ns(ns).unix_ns(), ns);
        }
        let (first, last) = (Timestamp::default(), Timestamp::from_unix_ns(u64::MAX));
        assert!(first < last && last + Duration::from_secs(1) == last);
        assert_eq!((first.ns_since(last), last.ns_since(first)), (0, u64::MAX - 1));
    }
}
