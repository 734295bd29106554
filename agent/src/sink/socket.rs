//! JSON Lines to a stream socket of this host, as Vector, Fluent Bit and others listen on.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::worker::{Outlet, Progress};

/// How long a receiver may take nothing before the connection is given up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is made when there is something to send, and again after it broke.
///
/// Each connection begins with the `agent.start` of the stream. A line counts as written when the kernel has
/// it; what a receiver had not read yet when it died is lost and nobody can know.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    stream: Option<UnixStream>,
    start: Option<Arc<Entry>>,
}

impl Socket {
    /// Will connect to `path`.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, stream: None, start: None }
    }

    fn connect(&mut self) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        if let Some(start) = &self.start {
            stream.write_all(&start.line)?;
        }
        Ok(stream)
    }
}

impl Outlet for Socket {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        for entry in entries {
            // After an error the connection is not used again: a part of the line may be in it.
            stream.write_all(&entry.line)?;
            progress.written += 1;
            if entry.event == "agent.start" {
                self.start = Some(Arc::clone(entry));
            }
        }
        self.stream = Some(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::event::Severity;

    fn entry(event: &str, line: &str) -> Arc<Entry> {
        Arc::new(Entry { event: event.into(), severity: Severity::Info, line: line.into() })
    }

    #[test]
    fn each_connection_begins_with_the_start() {
        let path = std::env::temp_dir().join(format!("pptpscope-socket-{}", std::process::id()));
        let mut socket = Socket::new(path.clone());
        let mut progress = Progress::default();
        assert!(socket.deliver(&[entry("agent.start", "start\n")], &mut progress).is_err());
        let listener = UnixListener::bind(&path).unwrap();
        socket.deliver(&[entry("agent.start", "start\n"), entry("drop", "1\n")], &mut progress).unwrap();
        let first = BufReader::new(listener.accept().unwrap().0);
        assert_eq!(first.lines().take(2).map(Result::unwrap).collect::<Vec<_>>(), ["start", "1"]);
        // The receiver has closed; the next line finds it out and is offered again.
        let mut tries = 0;
        while progress.written < 3 {
            let _ = socket.deliver(&[entry("drop", "2\n")], &mut progress);
            tries += 1;
            assert!(tries < 5);
        }
        let second = BufReader::new(listener.accept().unwrap().0);
        assert_eq!(second.lines().take(2).map(Result::unwrap).collect::<Vec<_>>(), ["start", "2"]);
        std::fs::remove_file(path).unwrap();
    }
}
