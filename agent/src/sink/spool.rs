//! Events on disk that wait for a receiver: they outlast a receiver that is away for longer than memory has
//! room, and the end of the agent itself.
//!
//! With a spool every event goes through the file; one is removed when the receiver has it. After a crash of
//! the agent those that were under way go out twice; a power cut may take what the kernel had not written.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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
    /// Held while the spool is in use: the file itself may be replaced.
    _lock: File,
}

/// Opens the file, and puts one that is damaged aside.
///
/// It has its full length from the beginning, with holes: queue-file 2.0.0 loses elements when a ring that has
/// wrapped grows, and leaves a header that does not fit when an empty one shrinks.
fn open(path: &Path, length: u64) -> io::Result<QueueFile> {
    let open = || {
        let file = QueueFile::with_capacity(path, length)?;
        if !file.is_empty() || file.file_len() == length {
            return Ok(file);
        }
        drop(file);
        fs::remove_file(path)?;
        QueueFile::with_capacity(path, length)
    };
    let file = match open() {
        Ok(file) => Ok(file),
        Err(queue_file::Error::Io { source }) => Err(source),
        Err(damage) => {
            let aside = beside(path, "damaged");
            warn!("the spool {} is damaged ({damage}): it is now {}", path.display(), aside.display());
            fs::rename(path, aside)?;
            open().map_err(io::Error::other)
        }
    };
    let mut file = file?;
    // There are names and addresses of customers in it.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    file.set_sync_writes(false);
    file.set_overwrite_on_remove(false);
    Ok(file)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

impl Spool {
    /// Opens the spool, with what an earlier run left in it.
    ///
    /// # Errors
    /// When the file cannot be used, or another sink or agent uses it.
    pub fn open(settings: Settings) -> io::Result<Self> {
        let lock = File::create(beside(&settings.path, "lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another sink or agent uses this spool")
            }
            fs::TryLockError::Error(error) => error,
        })?;
        let limit = settings.bytes.max(SMALLEST);
        let file = open(&settings.path, limit)?;
        if !file.is_empty() {
            info!("{} events wait in {} since the last run", file.size(), settings.path.display());
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
mod tests {
    use super::*;

    fn entries(numbers: std::ops::Range<u32>) -> Vec<Arc<Entry>> {
        let line = |number| format!(r#"{{"event":"drop","severity":"warning","number":{number:>4}}}"#) + "\n";
        numbers.map(|number| Arc::new(Entry::of_line(line(number).into_bytes()))).collect()
    }

    fn numbers(entries: &[Arc<Entry>]) -> Vec<u64> {
        entries.iter().map(|entry| entry.value()["number"].as_u64().unwrap()).collect()
    }

    fn settings(name: &str, when_full: WhenFull) -> Settings {
        let path = std::env::temp_dir().join(format!("pptpscope-spool-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Settings { path, bytes: 16_384, when_full }
    }

    fn away(settings: &Settings) {
        for suffix in ["lock", "damaged"] {
            let _ = fs::remove_file(beside(&settings.path, suffix));
        }
        fs::remove_file(&settings.path).unwrap();
    }

    #[test]
    fn what_is_not_removed_is_there_after_a_restart() {
        let settings = settings("restart", WhenFull::DropNewest);
        let spool = Spool::open(settings.clone()).unwrap();
        assert_eq!(Spool::open(settings.clone()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        spool.add(&entries(0..10));
        let first = spool.next(4).unwrap();
        assert_eq!((first[0].event.as_str(), first[0].severity), ("drop", crate::event::Severity::Warning));
        assert_eq!(numbers(&first), [0, 1, 2, 3]);
        spool.remove(3);
        drop(spool);
        let spool = Spool::open(settings.clone()).unwrap();
        assert_eq!(spool.counts(), (0, 7, None));
        spool.add(&entries(10..11));
        assert_eq!(numbers(&spool.next(100).unwrap()), (3..11).collect::<Vec<_>>());
        spool.remove(8);
        spool.close();
        assert!(spool.next(1).is_none());
        away(&settings);
    }

    #[test]
    fn a_full_one_keeps_the_beginning_or_the_present_and_counts() {
        for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
            let settings = settings("full", when_full);
            let spool = Spool::open(settings.clone()).unwrap();
            for batch in 0..50 {
                spool.add(&entries(batch * 10..batch * 10 + 10));
            }
            let (dropped, kept, _) = spool.counts();
            assert_eq!(dropped + kept, 500);
            // 8 KiB beside the header, 94 bytes each.
            assert!((70..=87).contains(&kept), "{kept}");
            assert_eq!(fs::metadata(&settings.path).unwrap().len(), 16_384);
            let found = numbers(&spool.next(500).unwrap());
            let first = if when_full == WhenFull::DropNewest { 0 } else { 500 - kept };
            assert_eq!(found, (first..first + kept).collect::<Vec<_>>());
            away(&settings);
        }
    }

    #[test]
    fn what_was_dropped_while_it_went_out_counts_once() {
        let settings = settings("hand", WhenFull::DropOldest);
        let spool = Spool::open(settings.clone()).unwrap();
        spool.add(&entries(0..20));
        assert_eq!(numbers(&spool.next(10).unwrap()).len(), 10);
        for batch in 2..20 {
            spool.add(&entries(batch * 10..batch * 10 + 10));
        }
        let (dropped, kept, _) = spool.counts();
        assert!(dropped >= 20 && dropped + kept == 200);
        spool.remove(10);
        assert_eq!(spool.counts(), (dropped - 10, kept, None));
        assert_eq!(numbers(&spool.next(1).unwrap()), [dropped]);
        spool.remove(1);
        assert_eq!(spool.counts().1, kept - 1);
        away(&settings);
    }

    #[test]
    fn is_a_queue_whatever_comes_and_goes() {
        let settings = Settings { bytes: 200_000, ..settings("model", WhenFull::DropNewest) };
        let mut spool = Spool::open(settings.clone()).unwrap();
        let (mut first, mut last, mut random) = (0_u32, 0_u32, 77_u32);
        for step in 0..2000 {
            if step % 100 == 0 {
                drop(spool);
                spool = Spool::open(settings.clone()).unwrap();
            }
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let count = (random >> 16) % 64;
            // The ring wraps again and again, and is empty now and then.
            if last - first < 1500 && random >> 24 < 128 + 64 * (last / 3000 % 2) {
                spool.add(&entries(last..last + count));
                last += count;
            } else if first < last {
                let found = numbers(&spool.next(count.max(1) as usize).unwrap());
                let wanted = first..last.min(first + count.max(1));
                assert_eq!(found, wanted.clone().map(u64::from).collect::<Vec<_>>());
                spool.remove(found.len());
                first = wanted.end;
            }
            assert_eq!(spool.counts(), (0, u64::from(last - first), None));
        }
        assert!(last > 10_000, "{last}");
        drop(spool);
        // Another size, as soon as it is empty.
        let spool = Spool::open(settings.clone()).unwrap();
        let rest = spool.next(2000).unwrap();
        spool.remove(rest.len());
        drop(spool);
        let settings = Settings { bytes: 20_000, ..settings };
        let _spool = Spool::open(settings.clone()).unwrap();
        assert_eq!(fs::metadata(&settings.path).unwrap().len(), 20_000);
        away(&settings);
    }

    #[test]
    fn giants_and_damage_do_not_stop_the_others() {
        let settings = settings("damage", WhenFull::DropOldest);
        let spool = Spool::open(settings.clone()).unwrap();
        let giant = Arc::new(Entry::of_line(vec![b'x'; 8192]));
        spool.add(&[entries(0..1), vec![giant], entries(1..2)].concat());
        assert_eq!(numbers(&spool.next(9).unwrap()), [0, 1]);
        assert_eq!(spool.counts(), (1, 2, None));
        drop(spool);
        // The head of the first event.
        let mut bytes = fs::read(&settings.path).unwrap();
        bytes[8192..].fill(0xff);
        fs::write(&settings.path, bytes).unwrap();
        let spool = Spool::open(settings.clone()).unwrap();
        assert!(beside(&settings.path, "damaged").exists());
        spool.add(&entries(5..6));
        assert_eq!(numbers(&spool.next(9).unwrap()), [5]);
        away(&settings);
    }
}
