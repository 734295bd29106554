//! A file of JSON Lines that rotates.
//!
//! Every file begins with the `agent.start` of the stream that it continues, and ends with a whole line: what
//! a full disk has torn off is taken back and written again later. A file that somebody else renamed or
//! removed is noticed, so that logrotate needs no signal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use tracing::warn;

use super::entry::Entry;
use super::worker::{Outlet, Progress};

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
    compressor: Option<JoinHandle<()>>,
}

impl RotatingFile {
    /// Opens the file, or continues it.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or another process writes to it.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let (file, length) = open(&settings.path)?;
        Ok(Self { settings, file, length, opened: Instant::now(), start: None, compressor: None })
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
        if self.length == 0
            && let Some(start) = self.start.clone()
        {
            self.append(&start.line)?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let rotated = next_name(&self.settings.path, Timestamp::now())?;
        fs::rename(&self.settings.path, &rotated)?;
        self.begin()?;
        if let Some(compressor) = self.compressor.take() {
            // One at a time. It says itself what went wrong.
            let _ = compressor.join();
        }
        let settings = self.settings.clone();
        let tidy = move || {
            if settings.compress
                && let Err(error) = compress(&rotated)
            {
                warn!("cannot compress {}: {error}; it stays as it is", rotated.display());
            }
            if let Err(error) = prune(&settings.path, settings.keep) {
                warn!("cannot remove old files of {}: {error}", settings.path.display());
            }
        };
        self.compressor = Some(std::thread::Builder::new().name("compress".into()).spawn(tidy)?);
        Ok(())
    }

    /// Writes one line, whole or not at all.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(line) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

impl Outlet for RotatingFile {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        if !self.is_in_place() {
            self.begin()?;
        }
        for entry in entries {
            if self.is_due() {
                self.rotate()?;
            }
            self.append(&entry.line)?;
            if entry.event == "agent.start" {
                self.start = Some(Arc::clone(entry));
            }
            progress.written += 1;
        }
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.settings.fsync { self.file.sync_data() } else { Ok(()) }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.is_in_place() {
            // Opening it beside itself would meet its own lock.
            self.length = whole_lines(&self.file)?;
            return Ok(());
        }
        self.begin()
    }
}

impl Drop for RotatingFile {
    fn drop(&mut self) {
        if let Some(compressor) = self.compressor.take() {
            let _ = compressor.join();
        }
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

/// A name beside `path` that says when and that sorts after all others there: a file can fill within a
/// second, and clocks are set back.
fn next_name(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let name = |stamp: &str, serial: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{stamp}-{serial:03}"));
        PathBuf::from(name)
    };
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    // Its suffix is well formed: `rotated` has looked.
    let newest = rotated(path)?.into_iter().max();
    let newest = newest.as_deref().and_then(Path::to_str).map(|newest| newest.trim_end_matches(".gz"));
    let newest = newest.and_then(|newest| newest.rsplit_once('.')?.1.split_once('-'));
    Ok(match newest {
        Some((last, serial)) if last >= stamp.as_str() => {
            name(last, serial.parse::<u32>().map_or(0, |serial| serial.saturating_add(1)))
        }
        _ => name(&stamp, 0),
    })
}

fn with_gz(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

fn compress(path: &Path) -> io::Result<()> {
    let target = with_gz(path);
    // Not under its name before it is whole.
    let partial = target.with_extension("partial");
    let result = (|| {
        let out = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&partial)?;
        let mut encoder = GzEncoder::new(out, Compression::default());
        io::copy(&mut File::open(path)?, &mut encoder)?;
        encoder.finish()?.sync_data()?;
        fs::rename(&partial, &target)?;
        fs::remove_file(path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Removes all but the newest `keep` rotated files.
fn prune(path: &Path, keep: usize) -> io::Result<()> {
    let mut rotated = rotated(path)?;
    // The time and the serial number sort as text.
    rotated.sort();
    let surplus = rotated.len().saturating_sub(keep);
    rotated.into_iter().take(surplus).try_for_each(fs::remove_file)
}

/// Files beside `path` that were rotated out of it.
fn rotated(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(prefix) = path.file_name().and_then(|name| name.to_str()).map(|name| format!("{name}.")) else {
        return Ok(Vec::new());
    };
    // 20261101T010000Z-000, and nothing that is only on its way to such a name.
    let is_stamp = |rest: &str| {
        let rest = rest.strip_suffix(".gz").unwrap_or(rest);
        let shape = |(at, byte): (usize, u8)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            16 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        rest.len() >= 20 && rest.bytes().enumerate().all(shape)
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(is_stamp) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
