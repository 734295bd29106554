//! Instants as nanoseconds since 1970-01-01T00:00:00Z.

/// Nanoseconds since the Unix epoch.
pub type Nanos = i64;

const SECOND: i64 = 1_000_000_000;

/// Reads a timestamp of RFC 3339, section 5.6, with up to nine digits of a fraction.
///
/// Returns `None` for anything else. A leap second (`:60`) is read as the second after.
pub fn parse_rfc3339(text: &str) -> Option<Nanos> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| text.as_bytes()[at] != byte) {
        return None;
    }
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        fraction = after[..digits].parse::<i64>().ok()? * 10_i64.pow(9 - digits as u32);
        rest = &after[digits..];
    }
    let offset = match rest.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let value = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            let seconds = value(h1, h2) * 3600 + value(m1, m2) * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, whose year is counted from March on, so
/// that the leap day is its last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_utc_offsets_and_fractions() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_rfc3339("2000-02-29T12:00:00Z"), Some(951_825_600 * SECOND));
        assert_eq!(parse_rfc3339("2001-09-09T01:46:40.5Z"), Some(1_000_000_000 * SECOND + 500_000_000));
        assert_eq!(parse_rfc3339("2001-09-09T03:46:40.000000001+02:00"), Some(1_000_000_000 * SECOND + 1));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59Z"), Some(-SECOND));
    }

    #[test]
    fn refuses_what_is_not_a_timestamp() {
        for text in [
            "",
            "yesterday",
            "2001-09-09T01:46:40",
            "2001-13-09T01:46:40Z",
            "2001-09-09T01:46:40.Z",
            "2001-09-09T01:46:40.1234567890Z",
            "2001-09-09T01:46:40+2:00",
            "2001-09-09T01:46:4\u{e9}Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
