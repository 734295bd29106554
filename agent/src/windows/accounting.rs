//! Accounting logs of IAS and NPS (`%SystemRoot%\System32\LogFiles\IN*.log`): the attributes of RADIUS
//! packets, one packet a line, in three formats.

pub(super) mod database;
pub(super) mod legacy;

use super::catalogue;
use super::date::Local;
use super::record::{Record, Time};
use crate::time::Timestamp;

/// The provider that records of accounting logs get.
pub(super) const PROVIDER: &str = "pptpscope:accounting";

/// The record that these attributes are. Attributes that the catalogue does not name are left out, so
/// that no secret which somebody configured to be logged is kept.
pub(super) fn record(attributes: impl IntoIterator<Item = (String, String)>) -> Record {
    let mut record = Record { provider: PROVIDER.to_owned(), ..Record::default() };
    let (mut date, mut time_of_day, mut stamp) = (None, None, None);
    for (attribute, value) in attributes {
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        match attribute.as_str() {
            "Packet-Type" => record.id = value.parse().unwrap_or(0),
            "Computer-Name" => record.computer = value.to_owned(),
            "Record-Date" => date = Some(value.to_owned()),
            "Record-Time" => time_of_day = Some(value.to_owned()),
            "Timestamp" => record.time = Local::parse(value).map_or(Time::Unknown, Time::Local),
            "Event-Timestamp" => stamp = since_epoch(value),
            other => {
                if let Some(name) = catalogue::names().attributes.get(other)
                    && record.parameter(name).is_none()
                {
                    record.push(name, value);
                }
            }
        }
    }
    if let (Some(date), Some(time)) = (date, time_of_day) {
        record.time = Local::from_parts(&date, &time).map_or(Time::Unknown, Time::Local);
    }
    record.time = match (std::mem::take(&mut record.time), stamp) {
        (Time::Local(local), Some(at)) => Time::Both(at, local),
        (Time::Unknown, Some(at)) => Time::Utc(at, 1_000_000_000),
        (time, _) => time,
    };
    record
}

/// Event-Timestamp is seconds since 1970 (RFC 2869 §5.3); some versions write a local time instead.
fn since_epoch(text: &str) -> Option<Timestamp> {
    let seconds: u32 = text.parse().ok()?;
    Some(Timestamp::from_unix_ns(u64::from(seconds) * 1_000_000_000))
}
