//! Stamps of log lines: from local time without a zone, often without a year, to a point in time.

use jiff::civil;
use jiff::tz::TimeZone;

use crate::event::log::{Quality, Zone};
use crate::time::Timestamp;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// How far after its file's time a line may be, seconds: clocks and zones differ.
const FUTURE: i64 = 86_400 + 43_200;

/// A time of day and a date, as a line says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// None where the line does not say it.
    pub year: Option<i32>,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Fraction, nanoseconds.
    pub nanosecond: u32,
    /// Digits of the fraction.
    pub digits: u8,
    /// Seconds east of UTC, where the line says it.
    pub offset: Option<i32>,
}

/// A point in time and how good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The point.
    pub at: Timestamp,
    /// How good it is.
    pub quality: Quality,
}

/// Turns what lines say into points in time.
#[derive(Clone, Debug)]
pub struct Resolver {
    zone: TimeZone,
    given: bool,
    /// Seconds since the epoch of what the year is inferred from: at first the time of the file, then
    /// the line before.
    reference: i64,
    seen_one: bool,
    /// Offset of the hour (since the epoch, local) that was asked for last.
    cached: Option<(i64, i64)>,
}

impl Resolver {
    /// For a log whose stamps without a zone are in `zone`, which somebody named when `given`, and whose
    /// last line is from about `reference`.
    pub const fn new(zone: TimeZone, given: bool, reference: Timestamp) -> Self {
        let reference = (reference.unix_ns() / 1_000_000_000).cast_signed();
        Self { zone, given, reference, seen_one: false, cached: None }
    }

    /// The point in time; None when there is no such time.
    pub fn resolve(&mut self, civil: &Civil) -> Option<Stamp> {
        let (seconds, year_inferred) = match civil.year {
            Some(year) => (self.seconds(civil, year)?, false),
            None => (self.nearest_year(civil)?, true),
        };
        self.reference = seconds;
        self.seen_one = true;
        let zone = match (civil.offset, self.given) {
            (Some(_), _) => Zone::Stated,
            (None, true) => Zone::Given,
            (None, false) => Zone::Assumed,
        };
        let nanoseconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
        let at = Timestamp::from_unix_ns(nanoseconds.checked_add(civil.nanosecond.into())?);
        let resolution_ns = 10u64.pow(9 - u32::from(civil.digits.min(9)));
        Some(Stamp { at, quality: Quality { resolution_ns, zone, year_inferred } })
    }

    fn nearest_year(&mut self, civil: &Civil) -> Option<i64> {
        let reference = self.reference;
        let (base, _, _) = civil_from_days(reference.div_euclid(DAY));
        let mut best = None;
        for year in [base - 1, base, base + 1] {
            let Some(seconds) = self.seconds(civil, year) else { continue };
            // The first line is from before the file was last written; later ones are near the one before.
            if !self.seen_one && seconds > reference + FUTURE {
                continue;
            }
            let distance = (seconds - reference).abs();
            if best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, seconds));
            }
        }
        best.map(|(_, seconds)| seconds)
    }

    fn seconds(&mut self, civil: &Civil, year: i32) -> Option<i64> {
        let is_valid = (1..=12).contains(&civil.month)
            && civil.day >= 1
            && civil.day <= days_in_month(year, civil.month)
            && civil.hour < 24
            && civil.minute < 60
            && civil.second <= 60;
        if !is_valid {
            return None;
        }
        let days = days_from_civil(year, civil.month, civil.day);
        let of_day = i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second);
        let local = days * DAY + of_day;
        match civil.offset {
            Some(offset) => Some(local - i64::from(offset)),
            None => Some(local - self.offset(local, civil, year)),
        }
    }

    /// Offset of the zone at a local time. Where clocks are put back the first of the two is taken.
    fn offset(&mut self, local: i64, civil: &Civil, year: i32) -> i64 {
        // No zone changes its offset inside a quarter of an hour.
        let slot = local.div_euclid(900);
        if let Some((cached, offset)) = self.cached
            && cached == slot
        {
            return offset;
        }
        let small = |number: u8| number.cast_signed();
        let offset = i16::try_from(year)
            .ok()
            .and_then(|year| {
                let (month, day) = (small(civil.month), small(civil.day));
                let (hour, minute) = (small(civil.hour), small(civil.minute));
                civil::DateTime::new(year, month, day, hour, minute, 0, 0).ok()
            })
            .and_then(|local| self.zone.to_zoned(local).ok())
            .map_or(0, |zoned| i64::from(zoned.offset().seconds()));
        self.cached = Some((slot, offset));
        offset
    }
}

/// Days since the epoch of a date of the Gregorian calendar (the algorithm of H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(0), u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn civil(month: u8, day: u8) -> Civil {
        Civil {
            year: None,
            month,
            day,
            hour: 1,
            minute: 2,
            second: 3,
            nanosecond: 0,
            digits: 0,
            offset: None,
        }
    }

    fn show(resolver: &mut Resolver, civil: &Civil) -> String {
        resolver.resolve(civil).unwrap().at.to_string()
    }

    #[test]
    fn the_year_goes_on_from_december_to_january() {
        let reference = "2026-01-02T00:00:00Z".parse().unwrap();
        let mut resolver = Resolver::new(TimeZone::UTC, true, reference);
        assert_eq!(show(&mut resolver, &civil(12, 30)), "2025-12-30T01:02:03.000000000Z");
        assert_eq!(show(&mut resolver, &civil(1, 1)), "2026-01-01T01:02:03.000000000Z");
        assert!(resolver.resolve(&civil(2, 28)).is_some_and(|stamp| stamp.quality.year_inferred));
    }

    #[test]
    fn the_first_line_is_not_from_the_future() {
        let reference = "2026-03-01T00:00:00Z".parse().unwrap();
        let mut resolver = Resolver::new(TimeZone::UTC, true, reference);
        assert_eq!(show(&mut resolver, &civil(7, 1)), "2025-07-01T01:02:03.000000000Z");
    }

    #[test]
    fn dates_agree_with_the_calendar_library() {
        for days in (-150_000..150_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            let epoch = civil::date(1970, 1, 1);
            let date = civil::date(year as i16, month as i8, day as i8);
            assert_eq!((date - epoch).get_days() as i64, days);
        }
    }

    #[test]
    fn a_named_zone_has_its_summer_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut resolver = Resolver::new(zone, false, "2026-12-01T00:00:00Z".parse().unwrap());
        assert_eq!(show(&mut resolver, &civil(7, 1)), "2026-06-30T23:02:03.000000000Z");
        assert_eq!(show(&mut resolver, &civil(11, 1)), "2026-11-01T00:02:03.000000000Z");
    }
}
