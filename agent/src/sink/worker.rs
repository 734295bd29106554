//! A sink: a queue, and a thread that delivers what is in it. With a spool, another thread moves what is in the
//! queue to disk, and the first one delivers from there.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Error;
use super::entry::Entry;
use super::filter::Filter;
use super::queue::{Limits, Queue, Work};
use super::spool::Spool;

/// Events that a thread takes at once.
const BATCH: usize = 512;

/// Pauses between two attempts to deliver: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// What became of the events that an outlet was offered, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Gone out.
    pub written: usize,
    /// Never to go out: the receiver takes nothing of that kind, and trying again would stop the others.
    pub refused: usize,
}

/// Where events go. Runs on a thread of its own and may wait there.
pub trait Outlet: Send {
    /// Delivers as many of the events as it can, in their order, and counts them, also before an error.
    /// What is not counted is offered again.
    ///
    /// # Errors
    /// What is in the way.
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()>;

    /// Nothing else waits: what is held back should go now.
    ///
    /// # Errors
    /// What is in the way.
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Opens its file anew, when it has one.
    ///
    /// # Errors
    /// What is in the way.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it is useless to try again.
    fn is_final(&self, _error: &io::Error) -> bool {
        false
    }
}

/// What a sink has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Events that went out.
    pub written: u64,
    /// Events that did not, and never will.
    pub dropped: u64,
    /// Events that wait, those in the thread's hands included.
    pub waiting: u64,
    /// Of these, the ones on disk, where they outlast the agent.
    pub spooled: u64,
    /// What is in the way now.
    pub error: Option<String>,
}

/// What thread and loop share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    spool: Option<Spool>,
    written: AtomicU64,
    /// Events that are in neither of the two.
    in_hand: AtomicU64,
    is_over: AtomicBool,
    error: Mutex<Option<String>>,
}

/// A sink that runs.
#[derive(Debug)]
pub struct Sink {
    name: String,
    filter: Filter,
    shared: Arc<Shared>,
    finished: Receiver<()>,
}

impl Sink {
    /// Starts the threads of a sink.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start(
        name: impl Into<String>,
        outlet: impl Outlet + 'static,
        filter: Filter,
        limits: Limits,
        spool: Option<Spool>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let shared = Arc::new(Shared {
            queue: Queue::new(limits),
            spool,
            written: AtomicU64::new(0),
            in_hand: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            error: Mutex::default(),
        });
        if shared.spool.is_some() {
            let shared = Arc::clone(&shared);
            spawn("spool", &name, move || shared.fill_spool())?;
        }
        let (done, finished) = mpsc::channel();
        let worker = Worker { name: name.clone(), outlet, shared: Arc::clone(&shared) };
        spawn("sink", &name, move || {
            worker.run();
            // The receiver may have given up waiting: then nobody cares any more.
            let _ = done.send(());
        })?;
        Ok(Self { name, filter, shared, finished })
    }

    /// Queues the event, if the sink wants it.
    pub fn push(&self, entry: &Arc<Entry>) {
        if self.filter.wants(entry) {
            self.shared.queue.push(Arc::clone(entry));
        }
    }

    /// Queues the last event, for which there is always room.
    pub fn push_last(&self, entry: &Arc<Entry>) {
        self.shared.queue.push_last(Arc::clone(entry));
    }

    /// Asks it to open its file anew.
    pub fn reopen(&self) {
        self.shared.queue.reopen();
    }

    /// Whether it ended by itself: nobody reads any more.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    /// What it has done.
    pub fn report(&self) -> Report {
        let (dropped, queued) = self.shared.queue.counts();
        let spool = self.shared.spool.as_ref().map(Spool::counts).unwrap_or_default();
        Report {
            name: self.name.clone(),
            written: self.shared.written.load(Ordering::Acquire),
            dropped: dropped + spool.dropped,
            waiting: queued + self.shared.in_hand.load(Ordering::Acquire) + spool.spooled + spool.in_hand,
            spooled: spool.spooled,
            error: spool.error.or_else(|| lock(&self.shared.error).clone()),
        }
    }

    /// Nothing more will come; it has until `deadline` for what is there.
    pub fn close(&self, deadline: Instant) {
        self.shared.queue.close(deadline);
    }

    /// Waits for the end of a closed sink, until `deadline`. False when events were lost on the way: those on
    /// disk are not.
    pub fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = !matches!(self.finished.recv_timeout(left), Err(RecvTimeoutError::Timeout));
        let report = self.report();
        // What is on disk needs no thread.
        let is_safe = ended || self.shared.spool.is_some();
        is_safe && report.dropped == 0 && report.waiting == report.spooled
    }
}

/// Starts a thread. The kernel keeps 15 characters of its name.
fn spawn(what: &str, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let name = format!("{what} {name}").chars().take(15).collect();
    thread::Builder::new().name(name).spawn(work).map_err(Error::Thread)?;
    Ok(())
}

fn lock(error: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    error.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The thread of a spool.
    fn fill_spool(&self) {
        let Some(spool) = &self.spool else { return };
        loop {
            match self.queue.next(BATCH) {
                Work::Deliver(batch) => {
                    self.in_hand.store(batch.len() as u64, Ordering::Release);
                    spool.add(&batch);
                    self.in_hand.store(0, Ordering::Release);
                }
                // Sinks with files have no spool.
                Work::Reopen => {}
                Work::End => break,
            }
        }
        spool.close();
    }

    /// What is to be done next by the thread that delivers.
    fn next(&self) -> Work {
        match &self.spool {
            None => self.queue.next(BATCH),
            Some(spool) => spool.next(BATCH).map_or(Work::End, Work::Deliver),
        }
    }

    /// `left` events of those in hand are to be delivered yet, after `moved` of them were.
    fn moved(&self, moved: usize, left: usize) {
        match &self.spool {
            None => self.in_hand.store(left as u64, Ordering::Release),
            Some(spool) => spool.remove(moved),
        }
    }

    /// No use in going on with `left` events in hand: those on disk stay there.
    fn stop(&self, left: usize) {
        if let Some(spool) = &self.spool {
            spool.let_go();
            return;
        }
        self.queue.give_up(left);
        self.in_hand.store(0, Ordering::Release);
    }
}

/// The thread's side.
struct Worker<O> {
    name: String,
    outlet: O,
    shared: Arc<Shared>,
}

impl<O: Outlet> Worker<O> {
    fn run(mut self) {
        loop {
            match self.shared.next() {
                Work::Deliver(batch) => {
                    if !self.deliver(&batch) {
                        break;
                    }
                }
                Work::Reopen => {
                    let result = self.outlet.reopen();
                    self.note(result.as_ref().err());
                }
                Work::End => break,
            }
        }
        self.shared.is_over.store(true, Ordering::Release);
        if self.shared.spool.is_none() {
            self.shared.queue.abandon();
        }
    }

    /// Delivers until everything is delivered. False when it is no use to go on.
    fn deliver(&mut self, batch: &[Arc<Entry>]) -> bool {
        let mut done = 0;
        let mut pause = FIRST_PAUSE;
        self.shared.moved(0, batch.len());
        loop {
            let mut progress = Progress::default();
            let rest = batch.get(done..).unwrap_or_default();
            let mut result = self.outlet.deliver(rest, &mut progress);
            let moved = (progress.written + progress.refused).min(rest.len());
            done += moved;
            if result.is_ok() && self.shared.queue.is_empty() {
                result = self.outlet.settle();
            }
            self.shared.written.fetch_add(progress.written as u64, Ordering::Release);
            self.shared.queue.give_up(progress.refused);
            self.shared.moved(moved, batch.len() - done);
            self.note(result.as_ref().err());
            let Err(error) = result else { return true };
            if moved > 0 {
                pause = FIRST_PAUSE;
            }
            if self.outlet.is_final(&error) || !self.shared.queue.pause(pause) {
                self.shared.stop(batch.len() - done);
                return false;
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Says once what is in the way, and once that it is not any more.
    fn note(&self, error: Option<&io::Error>) {
        let text = error.map(ToString::to_string);
        let mut last = lock(&self.shared.error);
        if *last == text {
            return;
        }
        match &text {
            Some(error) => warn!(sink = self.name, "cannot deliver events, will try again: {error}"),
            None => info!(sink = self.name, "events are delivered again"),
        }
        *last = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Severity;
    use crate::sink::spool;

    fn entry() -> Arc<Entry> {
        Arc::new(Entry { event: "drop".into(), severity: Severity::Info, line: b"{}\n".to_vec() })
    }

    /// Fails after every third event, and always while `is_away`.
    struct Flaky {
        is_away: Arc<AtomicBool>,
        taken: Arc<AtomicU64>,
    }

    impl Outlet for Flaky {
        fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
            if self.is_away.load(Ordering::Acquire) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let count = entries.len().min(3);
            self.taken.fetch_add(count as u64, Ordering::AcqRel);
            progress.written = count;
            if count < entries.len() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
        }
    }

    fn flaky(limits: Limits, spool: Option<Spool>) -> (Sink, Arc<AtomicBool>, Arc<AtomicU64>) {
        let (is_away, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let outlet = Flaky { is_away: Arc::clone(&is_away), taken: Arc::clone(&taken) };
        (Sink::start("flaky", outlet, Filter::default(), limits, spool).unwrap(), is_away, taken)
    }

    #[test]
    fn what_an_error_left_is_offered_again() {
        let (sink, _, taken) = flaky(Limits::default(), None);
        for _ in 0..10 {
            sink.push(&entry());
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        sink.close(deadline);
        assert!(sink.wait(deadline));
        assert_eq!(taken.load(Ordering::Acquire), 10);
        let report = sink.report();
        assert_eq!((report.written, report.dropped, report.waiting), (10, 0, 0));
    }

    #[test]
    fn everything_is_counted_when_the_receiver_stays_away() {
        let (sink, is_away, _) = flaky(Limits { bytes: 30, ..Limits::default() }, None);
        is_away.store(true, Ordering::Release);
        for _ in 0..1000 {
            sink.push(&entry());
        }
        sink.close(Instant::now());
        assert!(!sink.wait(Instant::now() + Duration::from_secs(20)));
        let report = sink.report();
        assert_eq!(report.written + report.dropped + report.waiting, 1000);
        assert_eq!(report.waiting, 0);
        assert!(sink.is_over());
    }

    #[test]
    fn a_spool_bridges_a_long_absence_and_a_restart() {
        let path = std::env::temp_dir().join(format!("pptpscope-worker-{}", std::process::id()));
        let settings = spool::Settings { path: path.clone(), bytes: 1 << 20, when_full: Default::default() };
        let memory = Limits { bytes: 90, ..Limits::default() };
        let (sink, is_away, _) = flaky(memory, Some(Spool::open(settings.clone()).unwrap()));
        is_away.store(true, Ordering::Release);
        for count in 1..=150 {
            sink.push(&entry());
            // No faster than a disk; memory holds thirty.
            let begun = Instant::now();
            while count % 15 == 0 && sink.report().spooled < count {
                assert!(begun.elapsed() < Duration::from_secs(20), "an event is stuck in memory");
                thread::sleep(Duration::from_millis(1));
            }
        }
        let deadline = Instant::now() + Duration::from_millis(100);
        sink.close(deadline);
        assert!(sink.wait(deadline), "nothing is lost");
        let report = sink.report();
        assert_eq!((report.written, report.dropped, report.waiting, report.spooled), (0, 0, 150, 150));
        while !sink.is_over() {
            thread::sleep(Duration::from_millis(1));
        }
        drop(sink);
        let (sink, _, taken) = flaky(memory, Some(Spool::open(settings).unwrap()));
        sink.push(&entry());
        let deadline = Instant::now() + Duration::from_secs(60);
        sink.close(deadline);
        assert!(sink.wait(deadline));
        assert_eq!((taken.load(Ordering::Acquire), sink.report().waiting), (151, 0));
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(path.with_added_extension("lock")).unwrap();
    }
}
