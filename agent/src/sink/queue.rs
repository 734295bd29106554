//! The bounded queue between the agent's loop and the thread of a sink.
//!
//! The loop never waits: the kernel's ring must be drained whatever a receiver does. What does not fit
//! is dropped by the policy of the sink and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// Which events go when a queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// Those that come: the beginning of a trouble is kept.
    #[default]
    DropNewest,
    /// Those that have waited longest: the present is kept.
    DropOldest,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of lines.
    pub bytes: usize,
    /// What happens beyond.
    pub when_full: WhenFull,
}

impl Default for Limits {
    /// Some 4,000 events, dropping the newest.
    fn default() -> Self {
        Self { bytes: 4 << 20, when_full: WhenFull::DropNewest }
    }
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    dropped: u64,
    /// When the queue is closed: until when its thread may go on.
    closed: Option<Instant>,
    reopen: bool,
}

/// What the thread of a sink should do.
#[derive(Debug)]
pub(super) enum Work {
    /// Deliver these.
    Deliver(Vec<Arc<Entry>>),
    /// Open the file anew.
    Reopen,
    /// End: nothing is left and nothing will come.
    End,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// With a spool two threads wait: one for events, one for the end of a pause.
    changed: Condvar,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event, or drops one.
    pub(super) fn push(&self, entry: Arc<Entry>) {
        let mut state = self.lock();
        let size = entry.line.len();
        if state.closed.is_some() || size > self.limits.bytes {
            state.dropped += 1;
            return;
        }
        while state.bytes + size > self.limits.bytes {
            match self.limits.when_full {
                WhenFull::DropNewest => {
                    state.dropped += 1;
                    return;
                }
                WhenFull::DropOldest => {
                    let Some(oldest) = state.entries.pop_front() else { break };
                    state.bytes -= oldest.line.len();
                    state.dropped += 1;
                }
            }
        }
        state.bytes += size;
        state.entries.push_back(entry);
        drop(state);
        self.changed.notify_all();
    }

    /// Queues an event whatever else waits: the one that says how the others fared.
    pub(super) fn push_last(&self, entry: Arc<Entry>) {
        let mut state = self.lock();
        if state.closed.is_some() {
            state.dropped += 1;
            return;
        }
        state.bytes += entry.line.len();
        state.entries.push_back(entry);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for work; at most `most` events of it.
    pub(super) fn next(&self, most: usize) -> Work {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.reopen) {
                return Work::Reopen;
            }
            if !state.entries.is_empty() {
                let count = state.entries.len().min(most);
                let batch: Vec<_> = state.entries.drain(..count).collect();
                state.bytes -= batch.iter().map(|entry| entry.line.len()).sum::<usize>();
                return Work::Deliver(batch);
            }
            if state.closed.is_some() {
                return Work::End;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Waits for `pause`, less when the queue is closed meanwhile. False when the time that a closed
    /// queue has left is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let until = match state.closed {
                Some(deadline) if deadline <= now => return false,
                // A receiver that is back at the last moment should still be met.
                Some(deadline) => until.min(deadline).min(now + Duration::from_millis(50)),
                None => until,
            };
            if until <= now {
                return true;
            }
            let was_closed = state.closed.is_some();
            state = self.changed.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
            if was_closed {
                return Instant::now() < state.closed.unwrap_or(until);
            }
        }
    }

    /// Asks the thread to open its file anew.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Nothing more will come; the thread has until `deadline` for what is there.
    pub(super) fn close(&self, deadline: Instant) {
        self.lock().closed.get_or_insert(deadline);
        self.changed.notify_all();
    }

    /// Counts events that the thread had to give up.
    pub(super) fn give_up(&self, count: usize) {
        self.lock().dropped += count as u64;
    }

    /// Drops everything that waits, and everything that will come.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(Instant::now);
        state.dropped += state.entries.len() as u64;
        state.entries.clear();
        state.bytes = 0;
    }

    /// Events dropped so far, and events that wait.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.dropped, state.entries.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Severity;

    fn entry(byte: u8) -> Arc<Entry> {
        Arc::new(Entry { event: String::new(), severity: Severity::Info, line: vec![byte; 10] })
    }

    fn kept(when_full: WhenFull) -> (Vec<u8>, u64) {
        let queue = Queue::new(Limits { bytes: 35, when_full });
        for byte in 0..5 {
            queue.push(entry(byte));
        }
        queue.close(Instant::now());
        let Work::Deliver(batch) = queue.next(10) else { panic!("there are events") };
        assert!(matches!(queue.next(10), Work::End));
        (batch.iter().map(|entry| entry.line[0]).collect(), queue.counts().0)
    }

    #[test]
    fn a_full_queue_drops_by_its_policy_and_counts() {
        assert_eq!(kept(WhenFull::DropNewest), (vec![0, 1, 2], 2));
        assert_eq!(kept(WhenFull::DropOldest), (vec![2, 3, 4], 2));
    }

    #[test]
    fn an_event_that_can_never_fit_takes_nobody_with_it() {
        let queue = Queue::new(Limits { bytes: 5, when_full: WhenFull::DropOldest });
        queue.push(entry(1));
        assert_eq!(queue.counts(), (1, 0));
    }

    #[test]
    fn a_pause_ends_with_the_time_of_a_closed_queue() {
        let queue = Queue::new(Limits::default());
        queue.close(Instant::now());
        assert!(!queue.pause(Duration::from_secs(3600)));
    }
}
