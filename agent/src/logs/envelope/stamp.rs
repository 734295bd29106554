//! The forms of date and time in front of a line.

use super::Civil;
use super::scan::Scan;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// `Nov 26 20:31:31 `, with the day in one or two columns, perhaps with a year before or behind the
/// time, perhaps with a fraction.
pub(super) fn rfc3164(scan: &mut Scan<'_>) -> Option<Civil> {
    let mut s = *scan;
    let month = month(&mut s)?;
    s.blanks()?;
    let day = u8::try_from(s.number(2)?).ok()?;
    s.blanks()?;
    let mut year = year(&mut s);
    if year.is_some() {
        s.blanks()?;
    }
    let mut civil = Civil { year, month, day, ..time(&mut s)? };
    s.blank().or_else(|| s.literal(": ").then_some(()))?;
    if year.is_none() {
        let mut ahead = s;
        year = self::year(&mut ahead);
        if year.is_some() && ahead.blank().is_some() {
            civil.year = year;
            s = ahead;
        }
    }
    *scan = s;
    Some(civil)
}

/// `Thu Jan  1 00:00:00 2026 `, as ctime(3) writes it.
pub(super) fn ctime(scan: &mut Scan<'_>) -> Option<Civil> {
    let mut s = *scan;
    let weekday = s.rest().get(..3)?;
    WEEKDAYS.contains(&weekday).then_some(())?;
    s.skip(3)?;
    s.blanks()?;
    let month = month(&mut s)?;
    s.blanks()?;
    let day = u8::try_from(s.number(2)?).ok()?;
    s.blanks()?;
    let civil = time(&mut s)?;
    s.blanks()?;
    let year = year(&mut s)?;
    s.blank().or_else(|| s.rest().is_empty().then_some(()))?;
    *scan = s;
    Some(Civil { year: Some(year), month, day, ..civil })
}

/// `2026-11-22T08:39:01.123456+01:00`; a blank may stand for `T`, a comma for the point, and the zone
/// may be missing.
pub(super) fn iso(scan: &mut Scan<'_>) -> Option<Civil> {
    let mut s = *scan;
    let year = year(&mut s)?;
    s.literal("-").then_some(())?;
    let month = s.small(2)?;
    s.literal("-").then_some(())?;
    let day = s.small(2)?;
    (s.literal("T") || s.literal(" ")).then_some(())?;
    let civil = time(&mut s)?;
    let offset = offset(&mut s);
    *scan = s;
    Some(Civil { year: Some(year), month, day, offset, ..civil })
}

/// `oct. 26 20:31:31 ` or `26 oct. 20:31:31 `: a date in another language.
pub(super) fn localised(scan: &mut Scan<'_>) -> Option<()> {
    let is_name = |word: &str| {
        let word = word.trim_end_matches('.');
        !word.is_empty() && word.chars().count() <= 12 && word.chars().all(char::is_alphabetic)
    };
    let mut s = *scan;
    let mut day_first = s;
    if day_first.number(2).is_some() {
        s = day_first;
        s.literal(".");
        s.blanks()?;
        is_name(s.word()?).then_some(())?;
        s = Scan::new(s.rest().trim_start_matches(' '));
    } else {
        is_name(s.word()?).then_some(())?;
        s = Scan::new(s.rest().trim_start_matches(' '));
        s.number(2)?;
        s.literal(".");
        s.blanks()?;
    }
    time(&mut s)?;
    s.blank()?;
    *scan = s;
    Some(())
}

/// `12.345678`: seconds, to nanoseconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.')?;
    let whole: u64 = whole.parse().ok()?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10u64.pow(9 - u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(1_000_000_000)?.checked_add(fraction.parse::<u64>().ok()? * scale)
}

fn month(scan: &mut Scan<'_>) -> Option<u8> {
    let name = scan.rest().get(..3)?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    scan.skip(3)?;
    u8::try_from(month + 1).ok()
}

fn year(scan: &mut Scan<'_>) -> Option<i32> {
    let mut s = *scan;
    let before = s.rest().len();
    let year = s.number(4)?;
    if before - s.rest().len() != 4 || !(1970..=2500).contains(&year) || s.rest().starts_with(':') {
        return None;
    }
    *scan = s;
    i32::try_from(year).ok()
}

/// `20:31:31`, perhaps with a fraction.
fn time(scan: &mut Scan<'_>) -> Option<Civil> {
    let hour = scan.small(2)?;
    scan.literal(":").then_some(())?;
    let minute = scan.small(2)?;
    scan.literal(":").then_some(())?;
    let second = scan.small(2)?;
    let (mut nanosecond, mut digits) = (0, 0u8);
    let mut s = *scan;
    if s.literal(".") || s.literal(",") {
        let before = s.rest().len();
        if let Some(fraction) = s.number(9) {
            digits = u8::try_from(before - s.rest().len()).ok()?;
            nanosecond = fraction * 10u32.pow(9 - u32::from(digits));
            *scan = s;
        }
    }
    Some(Civil { year: None, month: 0, day: 0, hour, minute, second, nanosecond, digits, offset: None })
}

/// `Z`, `+01:00`, `+0100`: seconds east of UTC.
fn offset(scan: &mut Scan<'_>) -> Option<i32> {
    if scan.literal("Z") {
        return Some(0);
    }
    let mut s = *scan;
    let sign = if s.literal("+") {
        1
    } else if s.literal("-") {
        -1
    } else {
        return None;
    };
    let hours = s.small(2)?;
    s.literal(":");
    let minutes = s.small(2)?;
    if hours > 14 || minutes > 59 {
        return None;
    }
    *scan = s;
    Some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
}
