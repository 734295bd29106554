//! Events on disk that wait for a receiver: they outlast a receiver that is away for longer than memory has
//! room, and the end of the agent itself.
//!
//! With a spool every event goes through the file; one is removed when the receiver has it. After a crash of
//! the agent those that were under way go out twice; a power cut may take what the kernel had not written.

mod place;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use queue_file::QueueFile;
use tracing::{info, warn};

use super::entry::Entry;
use super::queue::WhenFull;

/// Bytes that the file needs for each event beside its line.
const OVERHEAD: u64 = 44;
/// Bytes that it needs for itself.
const HEADER: u64 = 8192;
/// A file that has room.
const SMALLEST: u64 = 2 * HEADER;

/// Where and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// Bytes that it has, as soon as all of it was once in use.
    pub bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

#[derive(Debug)]
struct State {
    file: QueueFile,
    /// Number of the first event in the file, counted from the start.
    front: u64,
    /// Number of the first event that the sink's thread has in hand.
    in_hand: u64,
    dropped: u64,
    is_closed: bool,
    /// What is in the way of writing.
    error: Option<String>,
}

impl State {
    /// How many of these there is room for.
    fn fitting(&self, entries: &[Arc<Entry>], limit: u64) -> usize {
        let mut used = self.file.used_bytes();
        let fits = |entry: &&Arc<Entry>| {
            used += size(entry);
            used <= limit
        };
        entries.iter().take_while(fits).count()
    }

    /// Takes events away at the front.
    fn take_away(&mut self, count: u64) -> Result<(), queue_file::Error> {
        // No more than there are.
        self.file.remove_n(usize::try_from(count).unwrap_or(usize::MAX))?;
        self.front += count;
        Ok(())
    }

    /// Drops the oldest events. False when that gives no room.
    fn drop_oldest(&mut self, count: usize) -> bool {
        let count = count.min(self.file.size()) as u64;
        let result = self.take_away(count);
        let is_done = result.is_ok() && count > 0;
        self.note(result);
        self.dropped += if is_done { count } else { 0 };
        is_done
    }

    /// Says once what is in the way, and once that it is not any more.
    fn note(&mut self, result: Result<(), queue_file::Error>) {
        let error = result.err().map(|error| error.to_string());
        if self.error != error {
            match &error {
                Some(error) => warn!("cannot write to a spool: {error}"),
                None => info!("a spool can be written to again"),
            }
            self.error = error;
        }
    }

    fn oldest(&mut self, most: usize) -> Vec<Arc<Entry>> {
        let entries: Vec<_> =
            self.file.iter().take(most).map(|line| Arc::new(Entry::of_line(line))).collect();
        if entries.is_empty() && !self.file.is_empty() {
            let lost = self.file.size() as u64;
            warn!("a spool is damaged: {lost} events in it cannot be read");
            let result = self.file.clear();
            self.note(result);
            self.dropped += lost;
            self.front += lost;
        }
        self.in_hand = self.front;
        entries
    }
}

/// Bytes that an event takes.
fn size(entry: &Entry) -> u64 {
    entry.line.len() as u64 + OVERHEAD
}

/// See the module.
#[derive(Debug)]
pub struct Spool {
    settings: Settings,
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while the spool is in use.
    _lock: File,
}

impl Spool {
    /// Opens the spool, with what an earlier run left in it.
    ///
    /// # Errors
    /// When the file cannot be used, is a symbolic link, or another sink or agent uses it.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let lock = place::lock(&settings.path)?;
        let wanted = settings.bytes.max(SMALLEST);
        let mut file = place::open(&settings.path, wanted)?;
        file.set_sync_writes(false);
        file.set_overwrite_on_remove(false);
        let path = settings.path.display();
        if !file.is_empty() {
            info!("{} events wait in {path} since the last run", file.size());
        }
        // Not the one that is wanted while something waits.
        let limit = file.file_len();
        if limit != wanted {
            warn!(
                "{path} keeps its {limit} bytes, not {wanted}, until a start finds it empty: events wait in it"
            );
        }
        let state = State { file, front: 0, in_hand: 0, dropped: 0, is_closed: false, error: None };
        Ok(Self { settings, limit, state: Mutex::new(state), changed: Condvar::new(), _lock: lock })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics with the lock held has not left the file half way: its header is written last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes events up, or drops some by the policy.
    pub(super) fn add(&self, entries: &[Arc<Entry>]) {
        let mut state = self.lock();
        let mut rest = entries;
        while let Some(next) = rest.first() {
            let (now, later) = rest.split_at(state.fitting(rest, self.limit));
            if !now.is_empty() {
                let result = state.file.add_n(now.iter().map(|entry| &entry.line));
                state.dropped += if result.is_err() { now.len() as u64 } else { 0 };
                state.note(result);
                rest = later;
                continue;
            }
            let is_too_long = size(next) + HEADER > self.limit;
            let gives_way = self.settings.when_full == WhenFull::DropOldest && !is_too_long;
            if !(gives_way && state.drop_oldest(rest.len())) {
                state.dropped += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for events: the oldest ones, `most` of them. They stay until they are removed. None when the spool
    /// is empty and nothing will come.
    pub(super) fn next(&self, most: usize) -> Option<Vec<Arc<Entry>>> {
        let mut state = self.lock();
        loop {
            let entries = state.oldest(most);
            if !entries.is_empty() {
                return Some(entries);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The receiver has the first `count` of those in hand, or will never take them.
    pub(super) fn remove(&self, count: usize) {
        let mut state = self.lock();
        let until = state.in_hand + count as u64;
        // These went out although they had been dropped meanwhile.
        let gone = state.front.min(until) - state.in_hand;
        state.dropped -= gone;
        state.in_hand = until;
        // One that cannot be removed is there after the next start, and goes out twice.
        let left = until.saturating_sub(state.front);
        let result = state.take_away(left);
        state.note(result);
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Events dropped so far, events that wait, and what is in the way of writing.
    pub(super) fn counts(&self) -> (u64, u64, Option<String>) {
        let state = self.lock();
        (state.dropped, state.file.size() as u64, state.error.clone())
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
