//! JSON Lines on a byte stream, in practice standard output.

use std::io::{self, Write};
use std::sync::Arc;

use super::entry::Entry;
use super::worker::{Outlet, Progress};

/// A stream. When its reader is gone, it is over; a disk that is full may have room again.
#[derive(Debug)]
pub struct Lines<W: Write> {
    output: W,
    /// Bytes of the next line that are out already: it is offered again.
    begun: usize,
    bytes: Vec<u8>,
}

impl<W: Write> Lines<W> {
    /// Lines on `output`, which keeps nothing back.
    pub const fn new(output: W) -> Self {
        Self { output, begun: 0, bytes: Vec::new() }
    }

    fn write(&mut self, out: &mut usize) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(*out..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => *out += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W: Write + Send> Outlet for Lines<W> {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        // A burst costs few system calls.
        self.bytes.clear();
        entries.iter().for_each(|entry| self.bytes.extend_from_slice(&entry.line));
        let mut out = self.begun;
        let result = self.write(&mut out);
        for entry in entries {
            let Some(rest) = out.checked_sub(entry.line.len()) else { break };
            out = rest;
            progress.written += 1;
        }
        self.begun = out;
        result
    }

    fn is_final(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::BrokenPipe
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

    /// Takes so many bytes between two refusals.
    struct Full {
        shared: Shared,
        room: usize,
        left: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.left == 0 {
                self.left = self.room;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = self.shared.write(&bytes[..bytes.len().min(self.left)])?;
            self.left -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_tears_no_line_and_is_not_the_end() {
        let entries: Vec<_> = (10..40).map(|number| entry(&number.to_string())).collect();
        let wanted: String = (10..40).map(|number| format!("{number}\n")).collect();
        for room in 1..20 {
            let shared = Shared::default();
            let mut lines = Lines::new(Full { shared: shared.clone(), room, left: room });
            let mut done = 0;
            while done < entries.len() {
                let mut progress = Progress::default();
                if let Err(error) = lines.deliver(&entries[done..], &mut progress) {
                    assert!(!lines.is_final(&error));
                }
                done += progress.written;
            }
            assert_eq!(String::from_utf8(shared.0.lock().unwrap().clone()).unwrap(), wanted, "{room}");
        }
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
