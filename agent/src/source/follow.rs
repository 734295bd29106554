//! Logs of this host as they grow: files through rotation, and the journal.
//!
//! Files are looked at a few times a second. What is not read yet waits in the file, so a flood of lines
//! costs time and no memory. A file that is renamed is read to its end before the new one is opened, and for a
//! while beside it: its writer may not know yet. One that is cut short (copytruncate) is begun anew, and what was
//! lost by that is counted.

mod file;
mod journal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::logs::reader::{Counts, Reader, Settings};
use crate::observation::Observation;
use crate::time::Timestamp;
use file::File;
use journal::Journal;

/// Bytes taken from one file at once, before others and the kernel's ring have their turn.
const TURN_BYTES: usize = 256 << 10;

/// Logs to be followed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files; those that do not exist yet are waited for.
    pub files: Vec<PathBuf>,
    /// Also the journal.
    pub journal: bool,
    /// Where the files of the journal are, if not where this host has its own.
    pub journal_directory: Option<PathBuf>,
    /// How much of what was said before the start is read.
    pub back: Duration,
}

/// Files in which the daemons usually log; of the first three, one has it all.
const SYSLOG_FILES: [&str; 3] = ["/var/log/syslog", "/var/log/messages", "/var/log/daemon.log"];
/// A file of syslog that was not written to for so long, beside a journal, is one that nobody writes any more.
const ABANDONED: Duration = Duration::from_secs(2 * 86_400);
/// Logs that daemons write themselves.
const DAEMON_FILES: [&str; 4] = [
    "/var/log/accel-ppp/accel-ppp.log",
    "/var/log/accel-ppp/core.log",
    "/var/log/freeradius/radius.log",
    "/var/log/radius/radius.log",
];

impl Options {
    /// What this host has: the file of its syslog daemon, else the journal; and the daemons' own files.
    pub fn detect(back: Duration) -> Self {
        let there = |name: &&str| Path::new(name).is_file();
        let journal = Path::new("/run/systemd/journal").is_dir();
        // A syslog daemon that was removed leaves its files.
        let is_written = |name: &&str| !journal || was_changed_within(Path::new(name), ABANDONED);
        let syslog = SYSLOG_FILES.iter().filter(|name| there(name)).find(|name| is_written(name));
        let own = DAEMON_FILES.iter().filter(|name| there(name));
        Self {
            files: syslog.into_iter().chain(own).map(PathBuf::from).collect(),
            journal: syslog.is_none() && journal,
            journal_directory: None,
            back,
        }
    }
}

/// Whether a file was written to in this time.
fn was_changed_within(path: &Path, time: Duration) -> bool {
    let changed = path.metadata().and_then(|metadata| metadata.modified());
    // One of the future has been written to.
    changed.is_ok_and(|changed| changed.elapsed().map_or(true, |elapsed| elapsed < time))
}

/// What is known about one followed log.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// Path, or `journal`.
    pub name: &'a str,
    /// What became of its lines.
    pub counts: Counts,
    /// Times that it was rotated.
    pub rotations: u64,
    /// Bytes that were gone before they were read.
    pub lost_bytes: u64,
    /// Why it cannot be read now.
    pub problem: Option<&'a str>,
}

/// Follows several logs.
#[derive(Debug)]
pub struct Follower {
    files: Vec<File>,
    journal: Option<Journal>,
}

impl Follower {
    /// Begins. `boot` is when the kernel came up.
    pub fn start(options: &Options, now: Timestamp, boot: Timestamp) -> Self {
        let since = Timestamp::from_unix_ns(
            now.unix_ns().saturating_sub(u64::try_from(options.back.as_nanos()).unwrap_or(u64::MAX)),
        );
        let reader = |source: String| {
            Reader::new(Settings {
                source,
                zone: TimeZone::system(),
                zone_given: false,
                reference: now,
                boot: Some(boot.unix_ns()),
            })
        };
        let file = |path: &PathBuf| File::new(path.clone(), reader(path.display().to_string()), since);
        Self {
            files: options.files.iter().map(file).collect(),
            journal: options
                .journal
                .then(|| Journal::new(reader("journal".into()), options.journal_directory.as_deref(), since)),
        }
    }

    /// Gives what is new to `take`; true when there is more.
    pub fn poll(&mut self, take: &mut dyn FnMut(Observation)) -> bool {
        let mut more = false;
        for file in &mut self.files {
            more |= file.poll(TURN_BYTES, take);
        }
        if let Some(journal) = &mut self.journal {
            more |= journal.poll(take);
        }
        more
    }

    /// Nothing more is read: what is left is counted as lost.
    pub fn give_up(&mut self) {
        self.files.iter_mut().for_each(File::give_up);
        self.journal.iter_mut().for_each(Journal::give_up);
    }

    /// Each log.
    pub fn members(&self) -> impl Iterator<Item = Summary<'_>> {
        self.files.iter().map(File::summary).chain(self.journal.as_ref().map(Journal::summary))
    }
}

#[cfg(test)]
mod tests;
