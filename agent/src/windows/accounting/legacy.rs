//! IAS format: NAS address, user, date, time, service, computer, then attribute numbers and values in
//! turn.

use crate::windows::csv::rows;
use crate::windows::{Error, Intake, accounting, catalogue};

/// The fields at the beginning.
const HEADER: [&str; 6] = ["NAS-IP-Address", "User-Name", "Record-Date", "Record-Time", "", "Computer-Name"];

/// Whether a line is such a record.
pub(in crate::windows) fn is_record(line: &str) -> bool {
    rows(line, b',').into_records().next().and_then(Result::ok).is_some_and(|row| {
        row.len() >= 8
            && row.len() % 2 == 0
            && row.get(0).is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok())
            && row.get(3).is_some_and(|time| time.contains(':'))
            && row.get(6).is_some_and(|attribute| attribute.trim().parse::<i32>().is_ok())
    })
}

/// Reads every line.
pub(in crate::windows) fn read(text: &str, intake: &mut Intake) -> Result<(), Error> {
    for row in rows(text, b',').records() {
        let row = match row {
            Ok(row) if row.len() >= HEADER.len() => row,
            _ => {
                intake.damaged();
                continue;
            }
        };
        let values: Vec<&str> = row.iter().collect();
        let (header, pairs) = values.split_at_checked(HEADER.len()).unwrap_or((&[], &[]));
        let pairs = pairs.chunks_exact(2).filter_map(|pair| match pair {
            [number, value] => {
                Some((catalogue::names().numbers.get(number.trim())?.clone(), (*value).to_owned()))
            }
            _ => None,
        });
        let header = HEADER.iter().zip(header).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        intake.record(accounting::record(header.chain(pairs)));
    }
    Ok(())
}
