//! One file that grows, is renamed, cut short, removed, and comes back.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Summary;
use crate::logs::reader::{MAX_LINE, Reader};
use crate::observation::Observation;
use crate::time::Timestamp;

/// Bytes at the end of a file that are looked at for what was said before the start.
const BACK_BYTES: u64 = 16 << 20;
/// Bytes read at once.
const BUFFER: usize = 64 * 1024;
/// How long a file is still read after another one has its name: its writer goes on until it is told to reopen.
const LINGER: Duration = Duration::from_secs(60);
/// Bytes that must still stand before the place where reading goes on.
const TAIL: usize = 64;

/// A followed file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    name: String,
    reader: Reader,
    open: Option<Open>,
    /// The one that had the name before, and until when it is read.
    old: Option<(Open, Instant)>,
    /// Whether the file was looked for before: one that appears later is read from its beginning.
    looked: bool,
    /// Older lines are left out.
    since: Timestamp,
    rotations: u64,
    lost_bytes: u64,
    problem: Option<String>,
}

#[derive(Debug)]
struct Open {
    file: fs::File,
    /// Device and inode.
    identity: (u64, u64),
    position: u64,
    /// The last bytes before `position`, at most [`TAIL`]: when they are others, the file was written anew.
    tail: Vec<u8>,
    /// Largest size that was seen.
    size: u64,
    /// The line that has no end yet.
    pending: Vec<u8>,
    /// It is too long, and what follows of it is left out.
    skipping: bool,
}

impl File {
    pub(super) fn new(path: PathBuf, reader: Reader, since: Timestamp) -> Self {
        let name = path.display().to_string();
        let (rotations, lost_bytes) = (0, 0);
        let (open, old, problem) = (None, None, None);
        Self { path, name, reader, open, old, looked: false, since, rotations, lost_bytes, problem }
    }

    pub(super) fn summary(&self) -> Summary<'_> {
        Summary {
            name: &self.name,
            counts: self.reader.counts(),
            rotations: self.rotations,
            lost_bytes: self.lost_bytes,
            problem: self.problem.as_deref(),
        }
    }

    /// Takes up to `budget` bytes; true when there is more.
    pub(super) fn poll(&mut self, budget: usize, take: &mut dyn FnMut(Observation)) -> bool {
        match self.try_poll(budget, take) {
            Ok(more) => {
                self.problem = None;
                more
            }
            Err(error) => {
                self.problem = Some(error.to_string());
                false
            }
        }
    }

    /// Counts what was not read as lost.
    pub(super) fn give_up(&mut self) {
        let old = self.old.iter().map(|(old, _)| old);
        let unread = old.chain(&self.open).map(|open| {
            let size = open.file.metadata().map_or(open.size, |metadata| metadata.len());
            size.saturating_sub(open.position)
        });
        self.lost_bytes += unread.sum::<u64>();
    }

    fn try_poll(&mut self, budget: usize, take: &mut dyn FnMut(Observation)) -> io::Result<bool> {
        if self.read_old(budget, take)? {
            return Ok(true);
        }
        if self.open.is_none() {
            self.open()?;
        }
        let Some(open) = &mut self.open else { return Ok(false) };
        let size = open.file.metadata()?.len();
        if size < open.position || !open.tail_is_there(size)? {
            // Cut short and written anew; what was written between the last look and the cut is gone.
            self.lost_bytes += open.size.saturating_sub(open.position);
            self.rotations += 1;
            open.finish(&mut self.reader, self.since, take);
            open.position = open.file.seek(SeekFrom::Start(0))?;
            open.tail.clear();
            open.size = 0;
        }
        open.size = open.size.max(size);
        if open.read(budget, &mut self.reader, self.since, take)? {
            return Ok(true);
        }
        // Read to its end: is it still the file of this name?
        let identity = open.identity;
        match fs::metadata(&self.path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) != identity => {
                self.rotations += 1;
                if let Some((mut older, _)) = self.old.take() {
                    older.finish(&mut self.reader, self.since, take);
                }
                self.old = self.open.take().map(|open| (open, Instant::now() + LINGER));
                self.open()?;
                Ok(self.open.is_some())
            }
            // Renamed, and no new one yet: the old one may still grow.
            _ => Ok(false),
        }
    }

    /// Reads the file that had the name before; true when there is more.
    fn read_old(&mut self, budget: usize, take: &mut dyn FnMut(Observation)) -> io::Result<bool> {
        let Some((old, until)) = &mut self.old else { return Ok(false) };
        if old.read(budget, &mut self.reader, self.since, take)? {
            return Ok(true);
        }
        if *until <= Instant::now() {
            old.finish(&mut self.reader, self.since, take);
            self.old = None;
        }
        Ok(false)
    }

    fn open(&mut self) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.looked, true);
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            // It is waited for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let from = if is_first { metadata.len().saturating_sub(BACK_BYTES) } else { 0 };
        let position = file.seek(SeekFrom::Start(from))?;
        self.open = Some(Open {
            file,
            identity: (metadata.dev(), metadata.ino()),
            position,
            tail: Vec::with_capacity(TAIL),
            size: metadata.len(),
            pending: Vec::new(),
            // In the middle of a line.
            skipping: from > 0,
        });
        Ok(())
    }
}

impl Open {
    /// Whether the file still has what was read of it last. A file that is cut short and has grown beyond that
    /// place since does not.
    fn tail_is_there(&self, size: u64) -> io::Result<bool> {
        let Some(from) = self.position.checked_sub(self.tail.len() as u64) else { return Ok(true) };
        if size == self.position || self.tail.is_empty() {
            return Ok(true);
        }
        let mut there = [0; TAIL];
        let Some(there) = there.get_mut(..self.tail.len()) else { return Ok(true) };
        match self.file.read_exact_at(there, from) {
            Ok(()) => Ok(there == self.tail.as_slice()),
            // Cut in this moment.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Remembers the end of what was read.
    fn remember(&mut self, read: &[u8]) {
        let fresh = read.get(read.len().saturating_sub(TAIL)..).unwrap_or_default();
        let kept = TAIL - fresh.len();
        self.tail.drain(..self.tail.len().saturating_sub(kept));
        self.tail.extend_from_slice(fresh);
    }

    /// The file is over: what has no end of line is a line.
    fn finish(&mut self, reader: &mut Reader, since: Timestamp, take: &mut dyn FnMut(Observation)) {
        let pending = std::mem::take(&mut self.pending);
        if !std::mem::take(&mut self.skipping)
            && !pending.is_empty()
            && let Some(observation) = reader.line(&pending).filter(|observation| observation.at >= since)
        {
            take(observation);
        }
    }

    /// Takes lines up to `budget` bytes; true when there is more.
    fn read(
        &mut self,
        budget: usize,
        reader: &mut Reader,
        since: Timestamp,
        take: &mut dyn FnMut(Observation),
    ) -> io::Result<bool> {
        let mut buffer = vec![0; BUFFER];
        let mut left = budget;
        while left > 0 {
            let read = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.position += read as u64;
            left = left.saturating_sub(read);
            let mut rest = buffer.get(..read).unwrap_or_default();
            self.remember(rest);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                rest = behind.get(1..).unwrap_or_default();
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                let observation = if self.pending.is_empty() {
                    reader.line(line)
                } else {
                    self.pending.extend_from_slice(line);
                    let observation = reader.line(&self.pending);
                    self.pending.clear();
                    observation
                };
                if let Some(observation) = observation.filter(|observation| observation.at >= since) {
                    take(observation);
                }
            }
            if self.skipping {
                continue;
            }
            self.pending.extend_from_slice(rest);
            if self.pending.len() > MAX_LINE {
                if let Some(observation) = reader.line(&self.pending) {
                    take(observation);
                }
                self.pending.clear();
                self.skipping = true;
            }
        }
        Ok(true)
    }
}
