//! Local times of a locale: `3/23/2020 3:40:08 PM`, `23.03.2020 15:40:08`, `2020-03-23 15:40:08`.
//!
//! Whether the day or the month comes first is not in such a text. All dates of a file decide together;
//! when they do not, the user must.

use super::Error;
use super::record::{Record, Time};
use crate::observation::log::{Quality, Zone};
use crate::time::Timestamp;

const SECOND_NS: u64 = 1_000_000_000;
/// Time zones differ from UTC by whole quarters of an hour.
const QUARTER_S: i64 = 900;
/// No time zone is further from UTC, seconds.
const MAX_OFFSET_S: i64 = 14 * 3600;

/// Which of two numbers of a date comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// 31/12.
    DayFirst,
    /// 12/31.
    MonthFirst,
}

/// A local time, with day and month in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Local {
    year: i16,
    /// Day and month, or month and day.
    pair: [i8; 2],
    /// The order, where the text has it: the year comes first, or dots separate.
    order: Option<Order>,
    /// Seconds since midnight, and nanoseconds.
    second: u32,
    ns: u32,
    /// The smallest difference that the text can show, nanoseconds.
    resolution_ns: u64,
    /// The beginning of the text, to show.
    date: String,
}

impl Local {
    /// Reads date and time.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find([' ', 'T', '\u{a0}', '\u{202f}'])?;
        let (date, time) = text.split_at_checked(split)?;
        let date = date.trim_end_matches(',');
        let time = time.trim_start_matches(|c: char| c == 'T' || c.is_whitespace());
        Self::from_parts(date, time)
    }

    /// Reads a date and a time of day.
    pub(super) fn from_parts(date: &str, time: &str) -> Option<Self> {
        let separator = date.chars().find(|c| !c.is_ascii_digit())?;
        let mut parts = date.trim_end_matches(separator).split(separator);
        let texts = [parts.next()?.trim(), parts.next()?.trim(), parts.next()?.trim()];
        if parts.next().is_some() || !matches!(separator, '/' | '-' | '.') {
            return None;
        }
        let number = |text: &str| -> Option<i16> {
            (!text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())?
        };
        let [first, second, third] = [number(texts[0])?, number(texts[1])?, number(texts[2])?];
        let small = |number: i16| i8::try_from(number).ok().filter(|number| (1..=31).contains(number));
        let (year, pair, order) = if texts[0].len() == 4 {
            (first, [small(second)?, small(third)?], Some(Order::MonthFirst))
        } else {
            let year = if texts[2].len() == 2 { 2000 + third } else { third };
            // No locale writes the month first and separates with dots.
            let order = (separator == '.').then_some(Order::DayFirst);
            (year, [small(first)?, small(second)?], order)
        };
        let (second, ns, resolution_ns) = time_of_day(time)?;
        let local = Self { year, pair, order, second, ns, resolution_ns, date: date.to_owned() };
        let is_date = |order| local.unix_ns(order, 0).is_some();
        (is_date(Order::DayFirst) || is_date(Order::MonthFirst)).then_some(local)
    }

    /// Nanoseconds since the epoch, where the clock of the text is `offset_s` seconds ahead of UTC.
    fn unix_ns(&self, order: Order, offset_s: i64) -> Option<u64> {
        let [first, second] = self.pair;
        let (day, month) = match self.order.unwrap_or(order) {
            Order::DayFirst => (first, second),
            Order::MonthFirst => (second, first),
        };
        let date = jiff::civil::Date::new(self.year, month, day).ok()?;
        let days = i64::from(date.since(jiff::civil::date(1970, 1, 1)).ok()?.get_days());
        let seconds = (days * 86_400 + i64::from(self.second)).checked_sub(offset_s)?;
        u64::try_from(seconds).ok()?.checked_mul(SECOND_NS)?.checked_add(self.ns.into())
    }

    /// The order, when this date allows only one of them.
    fn certain(&self) -> Option<Order> {
        match self.pair {
            _ if self.order.is_some() => None,
            [13..=31, _] => Some(Order::DayFirst),
            [_, 13..=31] => Some(Order::MonthFirst),
            _ => None,
        }
    }
}

/// `15:40:08`, `3:40:08 PM`, `15.40`, with fractions: seconds since midnight, nanoseconds, resolution.
fn time_of_day(text: &str) -> Option<(u32, u32, u64)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let (digits, half) = text.split_at_checked(end)?;
    let (clock, fraction) = match digits.rsplit_once(['.', ',']) {
        // `15.40.08` has dots for colons.
        Some((clock, fraction)) if clock.contains(':') => (clock, Some(fraction)),
        _ => (digits, None),
    };
    let mut parts = clock.split([':', '.']).map(|part| part.parse::<u32>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        Some(second) => Some(second?),
        None => None,
    };
    if parts.next().is_some() {
        return None;
    }
    let half: String = half.chars().filter(char::is_ascii_alphabetic).collect();
    let hour = match half.to_ascii_lowercase().as_str() {
        "" | "z" => hour,
        "am" if (1..=12).contains(&hour) => hour % 12,
        "pm" if (1..=12).contains(&hour) => hour % 12 + 12,
        _ => return None,
    };
    if hour > 23 || minute > 59 || second.unwrap_or(0) > 59 {
        return None;
    }
    let mut ns = 0;
    let mut resolution = if second.is_some() { SECOND_NS } else { 60 * SECOND_NS };
    if let Some(fraction) = fraction.filter(|_| second.is_some()) {
        let digits = fraction.get(..fraction.len().min(9))?;
        let unit = 10u32.checked_pow(9 - u32::try_from(digits.len()).ok()?)?;
        ns = digits.parse::<u32>().ok()?.checked_mul(unit)?;
        resolution = unit.into();
    }
    Some((hour * 3600 + minute * 60 + second.unwrap_or(0), ns, resolution))
}

fn locals(records: &[Record]) -> impl Iterator<Item = (&Local, Option<Timestamp>)> {
    records.iter().filter_map(|record| match &record.time {
        Time::Local(local) => Some((local, None)),
        Time::Both(at, local) => Some((local, Some(*at))),
        Time::Utc(..) | Time::Unknown => None,
    })
}

/// The order of the dates of a file. What decides: the user; a number above 12; a time since the epoch
/// beside it; that only one order lets time pass in one direction.
///
/// # Errors
///
/// When nothing decides, or the dates contradict each other.
pub(super) fn decide(records: &[Record], told: Option<Order>) -> Result<Order, Error> {
    let mut found: Option<Order> = None;
    for (local, at) in locals(records) {
        let beside = at.and_then(|at| {
            let fits = |order| offset(local, order, at).is_some();
            match (fits(Order::DayFirst), fits(Order::MonthFirst)) {
                (true, false) => Some(Order::DayFirst),
                (false, true) => Some(Order::MonthFirst),
                _ => None,
            }
        });
        let Some(order) = local.certain().or(beside) else { continue };
        if found.is_some_and(|found| found != order) {
            return Err(Error::ContradictoryDates { example: local.date.clone() });
        }
        found = Some(order);
    }
    if let Some(order) = found.or(told) {
        return Ok(order);
    }
    let open =
        || locals(records).filter(|(local, _)| local.order.is_none() && local.pair[0] != local.pair[1]);
    let Some((first, _)) = open().next() else { return Ok(Order::DayFirst) };
    match [Order::DayFirst, Order::MonthFirst].map(|order| passes_in_one_direction(records, order)) {
        [true, false] => Ok(Order::DayFirst),
        [false, true] => Ok(Order::MonthFirst),
        _ => Err(Error::AmbiguousDates { example: first.date.clone() }),
    }
}

fn passes_in_one_direction(records: &[Record], order: Order) -> bool {
    let times = || locals(records).filter_map(|(local, _)| local.unix_ns(order, 0));
    times().is_sorted() || times().is_sorted_by(|one, other| one >= other)
}

/// Seconds that the clock of `local` is ahead of UTC, when `at` is the same instant.
fn offset(local: &Local, order: Order, at: Timestamp) -> Option<i64> {
    let local_s = i64::try_from(local.unix_ns(order, 0)? / SECOND_NS).ok()?;
    let at_s = i64::try_from(at.unix_ns() / SECOND_NS).ok()?;
    // What is written some seconds after it happened still has the same zone.
    let quarters = (local_s - at_s + QUARTER_S / 2).div_euclid(QUARTER_S);
    let offset = quarters * QUARTER_S;
    (offset.abs() <= MAX_OFFSET_S).then_some(offset)
}

/// Turns the times of a file into time of day.
#[derive(Debug)]
pub(super) struct Clock {
    order: Order,
    offset_s: i64,
    zone: Zone,
}

impl Clock {
    /// The zone is the one that the user names, else the one that times since the epoch in the same file
    /// show, else UTC.
    pub(super) fn new(records: &[Record], order: Order, told: Option<i32>) -> Self {
        let mut shown = locals(records).filter_map(|(local, at)| offset(local, order, at?));
        let (offset_s, zone) = match told {
            Some(told) => (told.into(), Zone::Given),
            None => shown.next().map_or((0, Zone::Assumed), |offset| (offset, Zone::Stated)),
        };
        Self { order, offset_s, zone }
    }

    /// The time of day, and how good it is.
    pub(super) fn time(&self, time: &Time) -> Option<(Timestamp, Quality)> {
        let (at, resolution_ns, zone) = match time {
            Time::Unknown => return None,
            Time::Utc(at, resolution) => (*at, *resolution, Zone::Stated),
            Time::Both(at, _) => (*at, SECOND_NS, Zone::Stated),
            Time::Local(local) => {
                let ns = local.unix_ns(self.order, self.offset_s)?;
                (Timestamp::from_unix_ns(ns), local.resolution_ns, self.zone)
            }
        };
        Some((at, Quality { resolution_ns, zone, year_inferred: false }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, order: Order) -> String {
        let local = Local::parse(text).unwrap_or_else(|| panic!("{text}"));
        Timestamp::from_unix_ns(local.unix_ns(order, 0).unwrap()).to_string()
    }

    #[test]
    fn reads_the_locales() {
        for (text, order, expected) in [
            ("3/23/2020 3:40:08 PM", Order::MonthFirst, "2020-03-23T15:40:08.000000000Z"),
            ("3/23/2020 12:00:08 AM", Order::MonthFirst, "2020-03-23T00:00:08.000000000Z"),
            ("03/04/2020 12:30:00 p.m.", Order::DayFirst, "2020-04-03T12:30:00.000000000Z"),
            ("23.03.2020 15:40:08", Order::MonthFirst, "2020-03-23T15:40:08.000000000Z"),
            ("23.3.2020 15.40.08", Order::MonthFirst, "2020-03-23T15:40:08.000000000Z"),
            ("2020-03-23 15:40:08.25", Order::DayFirst, "2020-03-23T15:40:08.250000000Z"),
            ("2020/03/04 5:06", Order::DayFirst, "2020-03-04T05:06:00.000000000Z"),
            ("23-03-20 15:40:08", Order::DayFirst, "2020-03-23T15:40:08.000000000Z"),
            ("06/18/2024 14:45:48.123", Order::MonthFirst, "2024-06-18T14:45:48.123000000Z"),
        ] {
            assert_eq!(shown(text, order), expected, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "31/31/2020 1:00",
            "1/2/2020",
            "1/2/2020 25:00:00",
            "1/2/2020 13:00 PM",
            "99999/1/1 1:1:1",
            "1/2/3/2020 1:00:00",
            "30/02/2020 10:00:00",
            "1/2/2020 1:00:00 abends",
        ] {
            assert_eq!(Local::parse(text), None, "{text}");
        }
    }

    fn records(texts: &[&str]) -> Vec<Record> {
        let time = |text: &&str| Time::Local(Local::parse(text).unwrap());
        texts.iter().map(|text| Record { time: time(text), ..Record::default() }).collect()
    }

    #[test]
    fn the_dates_of_a_file_decide_together() {
        let order = |texts: &[&str]| decide(&records(texts), None);
        assert_eq!(order(&["3/4/2020 1:00:00", "3/13/2020 1:00:00"]), Ok(Order::MonthFirst));
        assert_eq!(order(&["3/4/2020 1:00:00", "13/3/2020 1:00:00"]), Ok(Order::DayFirst));
        // Only with the month first does time pass in one direction.
        let rising = ["3/4/2020 1:00:00", "3/5/2020 1:00:00", "4/3/2020 1:00:00"];
        assert_eq!(order(&rising), Ok(Order::MonthFirst));
        let falling: Vec<&str> = rising.iter().rev().copied().collect();
        assert_eq!(order(&falling), Ok(Order::MonthFirst));
        assert!(matches!(order(&["3/4/2020 1:00:00"]), Err(Error::AmbiguousDates { .. })));
        assert_eq!(decide(&records(&["3/4/2020 1:00:00"]), Some(Order::DayFirst)), Ok(Order::DayFirst));
        let both = ["3/13/2020 1:00:00", "13/3/2020 1:00:00"];
        assert!(matches!(order(&both), Err(Error::ContradictoryDates { .. })));
        // Either way the same.
        assert!(order(&["3/3/2020 1:00:00", "4.5.2020 1:00"]).is_ok());
    }

    #[test]
    fn a_time_since_the_epoch_gives_order_and_zone() {
        let at = "2020-04-03T10:00:01Z".parse().unwrap();
        let local = Local::parse("3/4/2020 15:30:02").unwrap();
        let mut records = records(&["4/4/2020 15:30:02"]);
        records.push(Record { time: Time::Both(at, local), ..Record::default() });
        let order = decide(&records, None).unwrap();
        assert_eq!(order, Order::DayFirst);
        let clock = Clock::new(&records, order, None);
        let (at, quality) = clock.time(&records[0].time).unwrap();
        assert_eq!(at.to_string(), "2020-04-04T10:00:02.000000000Z");
        assert_eq!(quality.zone, Zone::Stated);
        let (at, quality) = Clock::new(&records, order, Some(-3600)).time(&records[0].time).unwrap();
        assert_eq!((at.to_string().as_str(), quality.zone), ("2020-04-04T16:30:02.000000000Z", Zone::Given));
    }
}
