//! JSON Lines on a byte stream, in practice standard output.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use super::entry::Entry;
use super::worker::{Outlet, Progress};

/// A stream. An error is its end: who reads it is gone.
#[derive(Debug)]
pub struct Lines<W: Write>(BufWriter<W>);

impl<W: Write> Lines<W> {
    /// Lines on `output`.
    pub fn new(output: W) -> Self {
        Self(BufWriter::new(output))
    }
}

impl<W: Write + Send> Outlet for Lines<W> {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        entries.iter().try_for_each(|entry| self.0.write_all(&entry.line))?;
        // A line is visible at once, and a burst costs few system calls.
        self.0.flush()?;
        progress.written = entries.len();
        Ok(())
    }

    fn is_final(&self, _: &io::Error) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::filter::Filter;
    use super::super::queue::Limits;
    use super::super::worker::Sink;
    use super::*;
    use crate::event::Severity;

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

    fn sink(output: impl Write + Send + 'static, bytes: usize) -> Sink {
        let limits = Limits { bytes, ..Limits::default() };
        Sink::start("stdout", Lines::new(output), Filter::default(), limits, None).unwrap()
    }

    fn entry(text: &str) -> Arc<Entry> {
        Arc::new(Entry { event: "drop".into(), severity: Severity::Info, line: format!("{text}\n").into() })
    }

    #[test]
    fn writes_every_line_in_order() {
        let output = Shared::default();
        let sink = sink(output.clone(), 1000);
        for number in 0..3 {
            sink.push(&entry(&number.to_string()));
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        sink.close(deadline);
        assert!(sink.wait(deadline));
        assert_eq!(output.0.lock().unwrap().as_slice(), b"0\n1\n2\n");
    }

    #[test]
    fn a_stuck_reader_costs_counted_lines_and_no_hang() {
        let sink = sink(Stuck, 10_000);
        for _ in 0..2000 {
            sink.push(&entry("123456789"));
        }
        sink.close(Instant::now());
        assert!(!sink.wait(Instant::now() + Duration::from_millis(10)));
        let report = sink.report();
        assert_eq!(report.written, 0);
        assert_eq!(report.dropped + report.waiting, 2000);
        assert!(report.dropped >= 488, "1,000 fit into the queue, 512 into the thread's hands: {report:?}");
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let sink = sink(Gone, 1000);
        sink.push(&entry("1"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !sink.is_over() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(sink.is_over());
        assert_eq!(sink.report().dropped, 1);
    }
}
