//! What stands around a message: who said it, on which host, and when.
//!
//! | form | example |
//! |---|---|
//! | RFC 3164, with and without year and host | `Nov 26 20:31:31 vpn pppd[1234]: Exit.` |
//! | RFC 5424, also without `<PRI>1` | `<29>1 2026-11-22T08:39:01.003Z vpn pppd 1234 - - Exit.` |
//! | rsyslog, journalctl short-iso, routers | `2026-11-22T08:39:01.123456+01:00 vpn pppd[1234]: Exit.` |
//! | OpenWrt logread | `Thu Jan  1 00:00:00 2026 daemon.notice pppd[1234]: Exit.` |
//! | FreeRADIUS | `Thu Jan  1 00:00:00 2026 : Auth: (0) Login OK: [anna]` |
//! | accel-ppp, main and session log | `[2026-11-22 08:39:01]: error: ppp0: disconnected` |
//! | kernel ring | `[   12.345678] ppp0: recursion detected` |
//! | journal export as JSON ([`journal`]) | `{"MESSAGE":"Exit.",...}` |
//! | program alone | `pppd[1234]: Exit.` |
//! | nothing: the `logfile` of pppd | `Exit.` |

pub mod journal;
mod scan;
mod stamp;

use super::catalogue::Program;
use super::time::Civil;
use scan::Scan;

/// A line without its envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line<'a> {
    /// When it was said, as the line says it.
    pub when: When,
    /// Host that said it.
    pub host: Option<&'a str>,
    /// What the program calls itself.
    pub ident: Option<&'a str>,
    /// Its process id.
    pub pid: Option<u32>,
    /// The program, where the form of the envelope tells it.
    pub program: Option<Program>,
    /// What was said.
    pub text: &'a str,
}

/// When a line was said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum When {
    /// It does not say.
    #[default]
    Unknown,
    /// Date and time.
    Civil(Civil),
    /// Nanoseconds since the host came up.
    Boot(u64),
    /// Nanoseconds since 1970.
    Epoch(u64),
    /// A month that is not English: the logger ran in another language.
    Localised,
}

/// Takes the envelope off a line; a line without one comes back as it is.
pub fn parse(line: &str) -> Line<'_> {
    let line = line.trim_end_matches(['\r', '\n']);
    let mut scan = Scan::new(line);
    let version = scan.priority();
    if version == Some(true)
        && let Some(line) = rfc5424(scan)
    {
        return line;
    }
    let rest = scan.rest();
    match rest.as_bytes() {
        [b'[', ..] => bracketed(rest),
        [first, ..] if first.is_ascii_digit() => iso(rest).or_else(|| worded(rest)),
        [first, ..] if first.is_ascii_alphabetic() || !first.is_ascii() => worded(rest),
        _ => None,
    }
    .unwrap_or_else(|| bare(rest))
}

/// `2026-11-22T08:39:01...` in front.
fn iso(line: &str) -> Option<Line<'_>> {
    let mut scan = Scan::new(line);
    let civil = stamp::iso(&mut scan)?;
    scan.blank()?;
    let when = When::Civil(civil);
    // RFC 5424 of a file that leaves out priority and version.
    let no_version = rfc5424_header(scan).map(|line| Line { when, ..line });
    if let Some(line) = no_version {
        return Some(line);
    }
    Some(Line { when, ..header(scan.rest()) })
}

/// A month or a day of the week in front.
fn worded(line: &str) -> Option<Line<'_>> {
    let mut scan = Scan::new(line);
    if let Some(civil) = stamp::rfc3164(&mut scan) {
        return Some(Line { when: When::Civil(civil), ..header(scan.rest()) });
    }
    let mut scan = Scan::new(line);
    if let Some(civil) = stamp::ctime(&mut scan) {
        let when = When::Civil(civil);
        if let Some(text) = scan.rest().strip_prefix(": ") {
            // `Auth: `, `Error: `, ...: what FreeRADIUS calls the type.
            let text = text.split_once(": ").map_or(text, |(_, text)| text);
            return Some(Line { when, program: Some(Program::FreeRadius), text, ..Line::default() });
        }
        return Some(Line { when, ..header(scan.rest()) });
    }
    let mut scan = Scan::new(line);
    stamp::localised(&mut scan)?;
    Some(Line { when: When::Localised, ..header(scan.rest()) })
}

/// `[...]` in front: accel-ppp, the kernel ring.
fn bracketed(line: &str) -> Option<Line<'_>> {
    let inside = line.strip_prefix('[')?;
    let (stamp, rest) = inside.split_once(']')?;
    let mut scan = Scan::new(stamp.trim_start());
    if let Some(civil) = stamp::iso(&mut scan)
        && scan.rest().is_empty()
    {
        let text = match rest.strip_prefix(": ") {
            // The level has five columns: `error`, ` warn`, ` info`, `debug`, `  msg`.
            Some(main) => main.trim_start().split_once(": ").map_or(main, |(_, text)| text),
            None => rest.strip_prefix(' ')?,
        };
        let when = When::Civil(civil);
        return Some(Line { when, program: Some(Program::AccelPpp), text, ..Line::default() });
    }
    let when = match stamp::seconds(stamp.trim_start()) {
        Some(since_boot) => When::Boot(since_boot),
        None => {
            let mut scan = Scan::new(stamp.trim_start());
            When::Civil(stamp::ctime(&mut scan)?)
        }
    };
    let text = rest.strip_prefix(' ')?;
    Some(Line { when, program: Some(Program::Kernel), text, ..Line::default() })
}

/// RFC 5424, after the version.
fn rfc5424(mut scan: Scan<'_>) -> Option<Line<'_>> {
    let when = if scan.literal("- ") {
        When::Unknown
    } else {
        let civil = stamp::iso(&mut scan)?;
        scan.blank()?;
        When::Civil(civil)
    };
    Some(Line { when, ..rfc5424_header(scan)? })
}

/// Host, program, process id, message id, structured data and message of RFC 5424.
fn rfc5424_header(mut scan: Scan<'_>) -> Option<Line<'_>> {
    let host = scan.word()?;
    let ident = scan.word()?;
    let pid = scan.word()?;
    let _message_id = scan.word()?;
    if pid != "-" && !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    scan.structured_data()?;
    let text = scan.rest();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Some(Line { host: nil(host), ident: nil(ident), pid: pid.parse().ok(), text, ..Line::default() })
}

/// `host program[pid]: text`, where host and process id may be missing.
fn header(rest: &str) -> Line<'_> {
    let mut scan = Scan::new(rest);
    if let Some((ident, pid)) = scan.tag() {
        return Line { ident: Some(ident), pid, text: scan.rest(), ..Line::default() };
    }
    let Some(first) = scan.word() else { return Line { text: rest, ..Line::default() } };
    // `daemon.notice`: facility and level in place of the host.
    let host = (!is_facility(first)).then_some(first);
    match scan.tag() {
        Some((ident, pid)) => Line { host, ident: Some(ident), pid, text: scan.rest(), ..Line::default() },
        // `last message repeated 3 times` has no program.
        None => Line { host, text: scan.rest(), ..Line::default() },
    }
}

/// A line that says no time: with a program that the catalogue knows in front, or without anything.
fn bare(line: &str) -> Line<'_> {
    let mut scan = Scan::new(line);
    if let Some((ident, pid)) = scan.tag()
        && Program::of_ident(ident).is_some()
        && (pid.is_some() || ident == "kernel")
    {
        return Line { ident: Some(ident), pid, text: scan.rest(), ..Line::default() };
    }
    // `docker compose logs`: the service and a bar.
    let text = line.split_once(" | ").map_or(line, |(service, text)| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ');
        if service.len() < 64 && service.bytes().all(is_name) { text } else { line }
    });
    Line { text, ..Line::default() }
}

/// The nil value of RFC 5424 is no value.
fn nil(word: &str) -> Option<&str> {
    (word != "-").then_some(word)
}

fn is_facility(word: &str) -> bool {
    word.split_once('.').is_some_and(|(facility, level)| {
        matches!(level, "emerg" | "alert" | "crit" | "err" | "warn" | "warning" | "notice" | "info" | "debug")
            && facility.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests;
