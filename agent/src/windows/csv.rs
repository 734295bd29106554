//! Events as a table: `Get-WinEvent | Export-Csv`, `Get-EventLog | Export-Csv`, and Event Viewer's own CSV,
//! with commas, semicolons or tabs, as the locale likes. Parameters are lost in all of them; they are
//! read out of the English text of the event.

use super::date::Local;
use super::record::{Record, Time, cut};
use super::{Error, Format, Intake};

/// Names of columns, in lower case without blanks.
const ID: &[&str] = &["id", "eventid"];
const PROVIDER: &[&str] = &["providername", "source"];
const TIME: &[&str] = &["timecreated", "timegenerated", "dateandtime"];
const MESSAGE: &[&str] = &["message"];
const COMPUTER: &[&str] = &["machinename", "computer"];
const PROCESS: &[&str] = &["processid"];

/// Where the columns are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Columns {
    id: usize,
    provider: usize,
    time: usize,
    message: usize,
    computer: Option<usize>,
    process: Option<usize>,
}

impl Columns {
    /// By their names; Event Viewer translates them, but always has five and a sixth without a name.
    fn of(header: &csv::StringRecord) -> Option<Self> {
        let names: Vec<String> = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').replace(' ', "").to_ascii_lowercase())
            .collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        if let (Some(id), Some(provider), Some(time)) = (find(ID), find(PROVIDER), find(TIME)) {
            let message = find(MESSAGE).unwrap_or(header.len());
            return Some(Self {
                id,
                provider,
                time,
                message,
                computer: find(COMPUTER),
                process: find(PROCESS),
            });
        }
        (header.len() == 5).then(|| Self { id: 3, provider: 2, time: 1, message: 5, ..Self::default() })
    }
}

/// A reader of rows of any length.
pub(super) fn rows(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes())
}

/// The character that separates the columns of a line.
pub(super) fn delimiter(line: &str) -> u8 {
    let count = |delimiter: u8| line.bytes().filter(|byte| *byte == delimiter).count();
    // The last of equals is taken: a comma where there is none of the three.
    b"\t;,".iter().copied().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Text without the `#TYPE` line of Windows PowerShell.
fn body(text: &str) -> &str {
    if text.starts_with("#TYPE") { text.split_once('\n').map_or("", |(_, rest)| rest) } else { text }
}

/// Whether the first line of a text is the header of such a table.
pub(super) fn is_table(text: &str) -> bool {
    let body = body(text);
    let line = body.lines().next().unwrap_or("");
    rows(line, delimiter(line)).records().next().is_some_and(|header| {
        let Ok(header) = header else { return false };
        Columns::of(&header).is_some_and(|columns| {
            // Five columns alone are no proof: the row behind must have a number where the id is.
            columns.message != 5 || header.len() != 5 || {
                let second = rows(body, delimiter(line)).into_records().nth(1).and_then(Result::ok);
                second.is_some_and(|row| row.get(3).is_some_and(|id| id.parse::<u32>().is_ok()))
            }
        })
    })
}

/// Reads every row.
pub(super) fn read(text: &str, intake: &mut Intake) -> Result<(), Error> {
    let body = body(text);
    let delimiter = delimiter(body.lines().next().unwrap_or(""));
    let mut reader = rows(body, delimiter);
    let mut records = reader.records();
    let wrong = |what: &str| Error::Format { format: Format::EventCsv, what: what.to_owned() };
    let header = records.next().and_then(Result::ok).ok_or_else(|| wrong("it has no header"))?;
    let columns =
        Columns::of(&header).ok_or_else(|| wrong("the header names no event id, provider and time"))?;
    for row in records {
        // Only what is not UTF-8 is an error here, and the text is.
        let Ok(row) = row else {
            intake.damaged();
            continue;
        };
        let text = |column: usize| row.get(column).unwrap_or("").trim();
        let Ok(id) = text(columns.id).parse() else {
            intake.damaged();
            continue;
        };
        intake.record(Record {
            time: Local::parse(text(columns.time)).map_or(Time::Unknown, Time::Local),
            provider: cut(text(columns.provider)).to_owned(),
            id,
            computer: columns.computer.map(|column| cut(text(column)).to_owned()).unwrap_or_default(),
            pid: columns.process.and_then(|column| text(column).parse().ok()).filter(|pid| *pid > 0),
            message: cut(text(columns.message)).to_owned(),
            ..Record::default()
        });
    }
    Ok(())
}
