//! The journal, through journalctl: its files have a format that only systemd reads in all versions.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::Summary;
use crate::logs::reader::{MAX_ENTRY, Reader};
use crate::observation::Observation;
use crate::time::Timestamp;

/// Entries between the thread that reads the pipe and the agent; beyond, journalctl waits.
const QUEUE: usize = 1024;
/// Entries taken at once.
const TURN: usize = 65_536;
/// How long until journalctl is started again after it ended.
const RESTART: Duration = Duration::from_secs(5);

/// The followed journal.
#[derive(Debug)]
pub(super) struct Journal {
    reader: Reader,
    /// Where its files are, if not where this host has them.
    place: Option<OsString>,
    since: Timestamp,
    running: Option<Running>,
    next_start: Instant,
    rotations: u64,
    lost_bytes: u64,
    problem: Option<String>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    lines: Receiver<Vec<u8>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Journal {
    pub(super) fn new(reader: Reader, directory: Option<&Path>, since: Timestamp) -> Self {
        let place = directory.map(|directory| {
            let mut argument = OsString::from("--directory=");
            argument.push(directory);
            argument
        });
        let (next_start, rotations, lost_bytes) = (Instant::now(), 0, 0);
        Self { reader, place, since, running: None, next_start, rotations, lost_bytes, problem: None }
    }

    /// Ends journalctl, as whoever tests what happens then.
    #[cfg(test)]
    pub(super) fn kill(&mut self) {
        if let Some(running) = &mut self.running {
            running.child.kill().unwrap();
        }
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        Summary {
            name: "journal",
            counts: self.reader.counts(),
            rotations: self.rotations,
            lost_bytes: self.lost_bytes,
            problem: self.problem.as_deref(),
        }
    }

    /// Counts what journalctl has given and nobody took as lost. What it has not given yet is still in the journal.
    pub(super) fn give_up(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // With it its pipe ends, and with that the queue.
        let _ = running.child.kill();
        self.lost_bytes += running.lines.iter().map(|entry| entry.len() as u64).sum::<u64>();
    }

    /// Takes entries that are there; true when there may be more.
    pub(super) fn poll(&mut self, take: &mut dyn FnMut(Observation)) -> bool {
        if self.running.is_none() && self.next_start <= Instant::now() {
            self.next_start = Instant::now() + RESTART;
            match start(self.place.as_ref(), self.reader.cursor(), self.since) {
                Ok(running) => {
                    self.running = Some(running);
                    self.problem = None;
                }
                Err(error) => self.problem = Some(format!("cannot start journalctl: {error}")),
            }
        }
        let Some(running) = &self.running else { return false };
        for _ in 0..TURN {
            match running.lines.try_recv() {
                Ok(line) => {
                    if let Some(observation) = self.reader.line(&line) {
                        take(observation);
                    }
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => {
                    self.problem = Some("journalctl ended; it is started again".into());
                    self.rotations += 1;
                    self.running = None;
                    self.next_start = Instant::now() + RESTART;
                    return false;
                }
            }
        }
        true
    }
}

/// The next entry; of one that is too long the beginning, which is one byte longer than what is read of it. What is
/// beyond is left out: it is whatever somebody wrote, and begins where he wants.
fn read_entry(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut entry = Vec::new();
    if input.by_ref().take(MAX_ENTRY as u64 + 1).read_until(b'\n', &mut entry)? == 0 {
        return Ok(None);
    }
    while entry.last() != Some(&b'\n') {
        let available = input.fill_buf()?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(available.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() || used == 0 {
            break;
        }
    }
    Ok(Some(entry))
}

/// Starts journalctl behind `cursor`, or at `since`.
fn start(place: Option<&OsString>, cursor: Option<&str>, since: Timestamp) -> io::Result<Running> {
    let mut command = Command::new("journalctl");
    // Without --no-tail it leaves out all but the last ten entries behind a cursor.
    command.args(["--output=json", "--follow", "--no-tail", "--no-pager", "--quiet", "--all"]);
    command.args(place);
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.arg(format!("--since=@{}", since.unix_ns() / 1_000_000_000)),
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (sender, lines) = sync_channel(QUEUE);
    if let Some(output) = child.stdout.take() {
        let thread = std::thread::Builder::new().name("journal".into());
        thread.spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let Ok(Some(entry)) = read_entry(&mut output) else { return };
                if sender.send(entry).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(Running { child, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_end_is_one_entry() {
        let forged = "Nov 22 08:39:01 vpn pppd[8]: Exit.";
        let text = format!(
            "{{\"MESSAGE\":\"{}{forged}{}\"}}\nsecond\nlast",
            "x".repeat(MAX_ENTRY - 11),
            "y".repeat(1 << 20)
        );
        let mut input = BufReader::with_capacity(100, text.as_bytes());
        let mut entries = Vec::new();
        while let Some(entry) = read_entry(&mut input).unwrap() {
            entries.push(entry);
        }
        let lengths: Vec<_> = entries.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_ENTRY + 1, 7, 4]);
        assert_eq!(entries[1], b"second\n");
    }
}
