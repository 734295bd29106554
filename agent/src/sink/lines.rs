//! JSON Lines on a byte stream, in practice standard output.
//!
//! A thread of its own writes, behind a queue of bounded length. When the reader of the stream is
//! slower than the events, the newest lines are dropped and counted (`events_dropped` and
//! `agent.loss`): the kernel ring must be drained whatever the reader does.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Lines that wait for the writer at most. A line is some 300 to 900 bytes.
pub const QUEUE_LINES: usize = 4096;

/// How long the last lines may take when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Errors of the sink.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thread could not be started.
    #[error("cannot start the thread that writes the events")]
    Thread(#[source] io::Error),
    /// An event could not be written as JSON: a fault of this program.
    #[error("cannot write an event as JSON")]
    Json(#[from] serde_json::Error),
}

/// The queue to the writing thread.
#[derive(Debug)]
pub struct LineSink {
    queue: SyncSender<Vec<u8>>,
    finished: Receiver<()>,
    state: Arc<State>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct State {
    written: AtomicU64,
    closed: AtomicBool,
}

impl LineSink {
    /// Starts the thread that writes to `output`.
    pub fn start(output: impl Write + Send + 'static) -> Result<Self, Error> {
        let (queue, lines) = mpsc::sync_channel(QUEUE_LINES);
        let (done, finished) = mpsc::channel();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("events".into())
            .spawn(move || {
                if write_lines(output, &lines, &shared).is_err() {
                    shared.closed.store(true, Ordering::Release);
                }
                // The receiver may have given up waiting: then nobody cares any more.
                let _ = done.send(());
            })
            .map_err(Error::Thread)?;
        Ok(Self { queue, finished, state, dropped: 0 })
    }

    /// Queues `event` as one line, or counts it as dropped when the queue is full.
    pub fn write(&mut self, event: &impl Serialize) -> Result<(), Error> {
        if self.queue.try_send(line(event)?).is_err() {
            self.dropped += 1;
        }
        Ok(())
    }

    /// Lines that reached the stream.
    pub fn written(&self) -> u64 {
        self.state.written.load(Ordering::Acquire)
    }

    /// Lines that found the queue full, or nobody behind it.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the reader of the stream is gone (EPIPE) or the stream failed.
    pub fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Acquire)
    }

    /// Writes `last`, then everything queued, then ends. A reader that does not read is given
    /// two seconds. Returns whether everything was written.
    pub fn close(mut self, last: &impl Serialize) -> Result<bool, Error> {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let mut line = line(last)?;
        loop {
            match self.queue.try_send(line) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) if Instant::now() < deadline => {
                    line = again;
                    thread::sleep(Duration::from_millis(5));
                }
                Err(_) => {
                    self.dropped += 1;
                    break;
                }
            }
        }
        let Self { queue, finished, state, dropped } = self;
        drop(queue);
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = !matches!(finished.recv_timeout(left), Err(RecvTimeoutError::Timeout));
        Ok(ended && dropped == 0 && !state.closed.load(Ordering::Acquire))
    }
}

fn line(event: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes until the queue is closed; flushes whenever it is empty, so that a line is visible at
/// once and a burst costs few system calls.
fn write_lines(output: impl Write, lines: &Receiver<Vec<u8>>, state: &State) -> io::Result<()> {
    let mut output = io::BufWriter::new(output);
    let mut buffered = 0;
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Empty) => {
                output.flush()?;
                state.written.fetch_add(buffered, Ordering::Release);
                buffered = 0;
                match lines.recv() {
                    Ok(line) => line,
                    Err(mpsc::RecvError) => return Ok(()),
                }
            }
            Err(TryRecvError::Disconnected) => {
                output.flush()?;
                state.written.fetch_add(buffered, Ordering::Release);
                return Ok(());
            }
        };
        output.write_all(&line)?;
        buffered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that never reads.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_secs(3600));
            Ok(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writes_every_line_in_order() {
        let output = Shared::default();
        let mut sink = LineSink::start(output.clone()).unwrap();
        for number in 0..3 {
            sink.write(&number).unwrap();
        }
        assert!(sink.close(&"end").unwrap());
        assert_eq!(output.0.lock().unwrap().as_slice(), b"0\n1\n2\n\"end\"\n");
    }

    #[test]
    fn a_stuck_reader_costs_counted_lines_and_no_hang() {
        let mut sink = LineSink::start(Stuck).unwrap();
        // Longer than what the writer buffers: it is stuck with a few of them in hand.
        let line = "x".repeat(1024);
        for _ in 0..QUEUE_LINES + 100 {
            sink.write(&line).unwrap();
        }
        assert!((80..=100).contains(&sink.dropped()), "dropped {}", sink.dropped());
        assert_eq!(sink.written(), 0);
        assert!(!sink.close(&"end").unwrap());
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let mut sink = LineSink::start(Gone).unwrap();
        sink.write(&1).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !sink.is_closed() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(sink.is_closed());
        assert!(!sink.close(&"end").unwrap());
    }
}
