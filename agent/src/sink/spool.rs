//! Events on disk that wait for a receiver: they outlast a receiver that is away for longer than memory has
//! room, and the end of the agent itself.
//!
//! With a spool every event goes through the file; one is removed when the receiver has it. After a crash of
//! the agent those that were under way go out twice; a power cut may take what the kernel had not written.

mod place;

use std::fs::File;
use std::io;
use std::ops::Range;
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

/// What has become of the events of a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Surely lost: never falls.
    pub(super) dropped: u64,
    /// In the file.
    pub(super) spooled: u64,
    /// Not in the file any more, but in the hands of the sink's thread, which may bring them out yet.
    pub(super) in_hand: u64,
    /// What is in the way of writing.
    pub(super) error: Option<String>,
}

#[derive(Debug)]
struct State {
    file: QueueFile,
    /// Number of the first event in the file, counted from the start.
    front: u64,
    /// Numbers of the events that the sink's thread has in hand.
    hand: Range<u64>,
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

    /// Adds events at the end; those that could not be written are dropped. Returns whether none was.
    fn append(&mut self, entries: &[Arc<Entry>]) -> bool {
        let before = self.file.size();
        let result = self.file.add_n(entries.iter().map(|entry| &entry.line));
        // Those whose header alone could not be written are there as long as this process is.
        let lost = entries.len() - (self.file.size() - before);
        self.dropped += lost as u64;
        self.note(result);
        lost == 0
    }

    /// Changes what is at the front; returns the numbers of those that went.
    fn take_away(
        &mut self,
        with: impl FnOnce(&mut QueueFile) -> Result<(), queue_file::Error>,
    ) -> Range<u64> {
        let before = self.file.size();
        let result = with(&mut self.file);
        self.note(result);
        // What counts is what this process has: when only the header could not be written they come back with
        // the next start, and go out twice.
        let first = self.front;
        self.front += before.saturating_sub(self.file.size()) as u64;
        first..self.front
    }

    /// Counts those that went undelivered. Of the ones in hand nobody knows yet.
    fn count_dropped(&mut self, gone: Range<u64>) {
        let in_hand = gone.end.min(self.hand.end).saturating_sub(gone.start.max(self.hand.start));
        self.dropped += gone.end - gone.start - in_hand;
    }

    /// Drops the oldest events. False when that gives no room.
    fn drop_oldest(&mut self, count: usize) -> bool {
        let gone = self.take_away(|file| file.remove_n(count));
        self.count_dropped(gone.clone());
        !gone.is_empty()
    }

    /// Drops all that is in a file that cannot be read any more.
    fn drop_unreadable(&mut self) {
        warn!("a spool is damaged: {} events in it cannot be read", self.file.size());
        let gone = self.take_away(QueueFile::clear);
        // Some may have gone out before that was found.
        self.count_dropped(gone.start.max(self.hand.start)..gone.end);
    }

    /// Events in hand that are not in the file any more.
    fn only_in_hand(&self) -> u64 {
        self.front.min(self.hand.end).saturating_sub(self.hand.start)
    }

    /// Nobody has events in hand any more: what is not in the file is lost.
    fn let_go(&mut self) {
        self.dropped += self.only_in_hand();
        self.hand = self.front..self.front;
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
        self.let_go();
        let entries: Vec<_> =
            self.file.iter().take(most).map(|line| Arc::new(Entry::of_line(line))).collect();
        if entries.is_empty() && !self.file.is_empty() {
            self.drop_unreadable();
        }
        self.hand = self.front..self.front + entries.len() as u64;
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
        let state = State { file, front: 0, hand: 0..0, dropped: 0, is_closed: false, error: None };
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
                state.append(now);
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
        let until = (state.hand.start + count as u64).min(state.hand.end);
        state.hand.start = until;
        // The others were dropped from the file meanwhile.
        let left = usize::try_from(until.saturating_sub(state.front)).unwrap_or(usize::MAX);
        let gone = state.take_away(|file| file.remove_n(left));
        if left > 0 && gone.is_empty() {
            // What comes after them cannot be read: they would go out again and again.
            state.drop_unreadable();
        }
    }

    /// What is in hand will not be delivered by this agent.
    pub(super) fn let_go(&self) {
        self.lock().let_go();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// What has become of its events so far.
    pub(super) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts {
            dropped: state.dropped,
            spooled: state.file.size() as u64,
            in_hand: state.only_in_hand(),
            error: state.error.clone(),
        }
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
