//! A file of JSON Lines that rotates.
//!
//! Every file begins with the `agent.start` of the stream that it continues, and ends with a whole line: what
//! a full disk has torn off is taken back and written again later. A file that somebody else renamed or
//! removed is noticed, so that logrotate needs no signal.

mod compressor;
mod rotated;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::entry::Entry;
use super::worker::{Outlet, Progress};
use compressor::Compressor;
use rotated::{next_name, rename_new, sync_folder};

/// How the file is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file that is written; rotated ones are beside it, with the time in their names.
    pub path: PathBuf,
    /// Size at which it rotates, bytes.
    pub rotate_bytes: Option<u64>,
    /// Age at which it rotates.
    pub rotate_age: Option<Duration>,
    /// Rotated files that are kept.
    pub keep: usize,
    /// Whether rotated files are compressed (gzip).
    pub compress: bool,
    /// Whether lines are on the disk, not only with the kernel, before they count as written.
    pub fsync: bool,
}

/// See the module.
#[derive(Debug)]
pub struct RotatingFile {
    settings: Settings,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    opened: Instant,
    /// `agent.start`, for the head of the next file.
    start: Option<Arc<Entry>>,
    /// Events appended since the last that were counted as written.
    held: usize,
    /// Length up to which they were.
    safe: u64,
    compressor: Compressor,
}

impl RotatingFile {
    /// Opens the file, or continues it.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or another process writes to it.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let (file, length) = open(&settings.path)?;
        if settings.fsync {
            sync_folder(&settings.path)?;
        }
        // Not before the lock is ours.
        let compressor = Compressor::start(&settings)?;
        Ok(Self {
            settings,
            file,
            length,
            opened: Instant::now(),
            start: None,
            held: 0,
            safe: length,
            compressor,
        })
    }

    fn is_due(&self) -> bool {
        self.length > 0
            && (self.settings.rotate_bytes.is_some_and(|limit| self.length >= limit)
                || self.settings.rotate_age.is_some_and(|limit| self.opened.elapsed() >= limit))
    }

    /// Whether the path still names the file that is open.
    fn is_in_place(&self) -> bool {
        let (Ok(here), Ok(there)) = (self.file.metadata(), fs::symlink_metadata(&self.settings.path)) else {
            return false;
        };
        (here.dev(), here.ino()) == (there.dev(), there.ino())
    }

    fn begin(&mut self) -> io::Result<()> {
        (self.file, self.length) = open(&self.settings.path)?;
        self.opened = Instant::now();
        self.safe = self.length;
        if self.settings.fsync {
            sync_folder(&self.settings.path)?;
        }
        self.append_start()
    }

    /// The head of a file that has nothing in it.
    fn append_start(&mut self) -> io::Result<()> {
        match self.start.clone() {
            Some(start) if self.length == 0 => self.append(&start.line),
            _ => Ok(()),
        }
    }

    fn rotate(&mut self, progress: &mut Progress) -> io::Result<()> {
        self.make_safe(progress)?;
        let rotated = next_name(&self.settings.path, Timestamp::now())?;
        rename_new(&self.settings.path, &rotated)?;
        self.compressor.take(rotated);
        self.begin()
    }

    /// Writes one line, whole or not at all.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(line) {
            self.cut()?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Takes the length from the file, which somebody else may have emptied, and takes a torn line back. It never
    /// makes the file longer: that would fill it with zeros.
    fn cut(&mut self) -> io::Result<()> {
        self.length = whole_lines(&self.file)?;
        if self.length < self.file.metadata()?.len() {
            self.file.set_len(self.length)?;
        }
        self.safe = self.safe.min(self.length);
        Ok(())
    }

    /// Counts what was appended as written, with `fsync` when it is on the disk. When it cannot get there it is
    /// taken back, to be offered again.
    fn make_safe(&mut self, progress: &mut Progress) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        if self.settings.fsync
            && held > 0
            && let Err(error) = self.file.sync_data()
        {
            if self.safe < self.file.metadata()?.len() {
                self.file.set_len(self.safe)?;
            }
            self.length = self.safe;
            return Err(error);
        }
        self.safe = self.length;
        progress.written += held;
        Ok(())
    }

    fn append_all(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        for entry in entries {
            if self.is_due() {
                self.rotate(progress)?;
            }
            let is_start = entry.event == "agent.start";
            if !is_start {
                self.append_start()?;
            }
            self.append(&entry.line)?;
            self.held += 1;
            if is_start {
                self.start = Some(Arc::clone(entry));
            }
        }
        Ok(())
    }
}

impl Outlet for RotatingFile {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        // What an attempt that failed had appended and not counted was taken back.
        self.held = 0;
        if !self.is_in_place() {
            self.begin()?;
        }
        if self.file.metadata()?.len() != self.length {
            self.cut()?;
        }
        self.safe = self.length;
        let result = self.append_all(entries, progress);
        // Also what went before an error.
        let is_safe = self.make_safe(progress);
        result.and(is_safe)
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.is_in_place() {
            // Opening it beside itself would meet its own lock.
            return self.cut();
        }
        self.begin()
    }
}

/// The file, to append to, and the length of its whole lines.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        // Nobody who may write to the folder can send root's lines elsewhere.
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process writes to it")
        }
        fs::TryLockError::Error(error) => error,
    })?;
    let length = whole_lines(&file)?;
    // A crash in the middle of a line.
    file.set_len(length)?;
    Ok((file, length))
}

/// Bytes up to the last newline.
fn whole_lines(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        // At most the length of the block.
        let part = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
