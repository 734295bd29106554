//! Which format a file of Windows has.

use super::accounting::{database, legacy};
use super::{Format, csv, text};

/// Bytes that are looked at; the first event of a file with a long header is still in them.
const LOOKED_AT: usize = 16 * 1024;

/// The format of a file that begins like this; None when it is none of Windows.
pub fn recognise(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"ElfFile\0") {
        return Some(Format::Evtx);
    }
    // An even number of bytes keeps UTF-16 whole.
    let text = text::decode(head.get(..LOOKED_AT).unwrap_or(head));
    let text = text.trim_start();
    if let Some(at) = text.find("<Event").filter(|at| *at < 4096)
        && text.trim_start_matches(['-', ' ']).starts_with('<')
    {
        let event = text.get(at..).unwrap_or("");
        let event = event
            .strip_prefix("<Events")
            .and_then(|rest| rest.find("<Event").and_then(|at| rest.get(at..)))
            .unwrap_or(event);
        let name = event.get("<Event".len()..).and_then(|rest| rest.chars().next());
        // The events of Windows have a namespace; the records of NPS have types.
        return match name {
            Some('>') if event.contains("data_type=") => Some(Format::AccountingXml),
            Some('>' | ' ' | '\r' | '\n' | '\t') => Some(Format::EventXml),
            _ => None,
        };
    }
    let line = text.lines().next()?;
    if csv::is_table(text) {
        Some(Format::EventCsv)
    } else if database::is_record(line) {
        Some(Format::AccountingDatabase)
    } else {
        legacy::is_record(line).then_some(Format::AccountingLegacy)
    }
}
