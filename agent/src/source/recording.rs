//! Recordings: everything that went into the correlator of a live run, in its order, so that the
//! same events come out again.
//!
//! A recording is JSON Lines in gzip. The first line is a [`Header`], each further one an [`Entry`].
//! Secrets were dropped before observations were made, so none is in it. What the agent says about
//! itself (`agent.*`) is not derived from observations and is kept as it was written.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::observation::Observation;
use crate::time::Timestamp;

/// Name of the format, in the header.
const FORMAT: &str = "pptpscope recording";
/// Version of the format that is written and read.
const VERSION: u32 = 2;
/// Longest line that is believed, bytes.
const MAX_LINE: u64 = 1 << 20;

/// First line of a recording: what the correlator was told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    format: String,
    /// [`VERSION`].
    version: u32,
    /// Version of the agent that recorded.
    pub agent_version: String,
    /// Name of the host.
    pub host: String,
    /// Interval of `gre.stats` and `session.stats`, nanoseconds.
    pub stats_interval_ns: u64,
    /// Calls held at most.
    pub max_sessions: u32,
    /// How long a silent call is kept, nanoseconds.
    pub idle_limit_ns: u64,
    /// Whether every line of a log makes an event.
    #[serde(default)]
    pub all_log_lines: bool,
}

impl Header {
    /// The header for a correlator with these settings.
    pub fn new(host: String, stats_interval_ns: u64, max_sessions: u32, idle_limit_ns: u64) -> Self {
        let agent_version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            agent_version,
            host,
            stats_interval_ns,
            max_sessions,
            idle_limit_ns,
            all_log_lines: false,
        }
    }
}

/// What happened to the correlator, or to the output around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Entry {
    /// `observe` was called.
    Observe(Observation),
    /// `advance` was called.
    Advance(Timestamp),
    /// `finish` was called.
    Finish(Timestamp),
    /// A line was written that the correlator did not make.
    Line(String),
}

/// As [`Entry`], without owning the observation.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EntryRef<'a> {
    Observe(&'a Observation),
    Advance(Timestamp),
    Finish(Timestamp),
    Line(&'a str),
}

/// Why a recording cannot be replayed, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or decompressing failed.
    #[error("reading failed after {entries} entries: {source}")]
    Read {
        /// Entries that were read before.
        entries: u64,
        /// Why.
        source: io::Error,
    },
    /// It ends in the middle: usual when the agent was killed.
    #[error("the recording is cut after {entries} entries")]
    Cut {
        /// Entries that were read before.
        entries: u64,
    },
    /// The first line is no header.
    #[error("no recording of pptpscope: {0}")]
    NoRecording(String),
    /// Another format.
    #[error(
        "the recording has format version {0}, this program reads version {VERSION}: replay it with the pptpscope \
         that made it"
    )]
    Version(u32),
    /// A line is no entry.
    #[error("entry {entry} cannot be read: {what}")]
    Damaged {
        /// Number of the entry, from 1.
        entry: u64,
        /// What is wrong.
        what: String,
    },
}

/// Writes a recording.
pub struct Recorder {
    output: GzEncoder<Box<dyn Write + Send>>,
    line: Vec<u8>,
    /// Something was written since the last flush.
    pending: bool,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// Begins a recording.
    ///
    /// # Errors
    ///
    /// Those of `output`.
    pub fn start(output: impl Write + Send + 'static, header: &Header) -> io::Result<Self> {
        let output: Box<dyn Write + Send> = Box::new(output);
        let mut recorder =
            Self { output: GzEncoder::new(output, Compression::fast()), line: Vec::new(), pending: false };
        recorder.write(header)?;
        Ok(recorder)
    }

    /// `observe` is called.
    ///
    /// # Errors
    ///
    /// Those of the output, as with all that follow.
    pub fn observe(&mut self, observation: &Observation) -> io::Result<()> {
        self.write(&EntryRef::Observe(observation))
    }

    /// `advance` is called.
    pub fn advance(&mut self, now: Timestamp) -> io::Result<()> {
        self.write(&EntryRef::Advance(now))
    }

    /// `finish` is called.
    pub fn finish(&mut self, now: Timestamp) -> io::Result<()> {
        self.write(&EntryRef::Finish(now))
    }

    /// A line is written that the correlator did not make.
    pub fn line(&mut self, event: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(event)?;
        self.write(&EntryRef::Line(&text))
    }

    /// Makes everything up to here readable, also when the agent is killed now.
    pub fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.pending) { self.output.flush() } else { Ok(()) }
    }

    /// Ends the recording.
    pub fn close(self) -> io::Result<()> {
        self.output.finish()?.flush()
    }

    fn write(&mut self, entry: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, entry)?;
        self.line.push(b'\n');
        self.pending = true;
        self.output.write_all(&self.line)
    }
}

/// Reads a recording.
pub struct Recording {
    input: BufReader<Box<dyn Read>>,
    header: Header,
    entries: u64,
    line: Vec<u8>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording at entry {}", self.entries)
    }
}

impl Recording {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// When it is no recording, or one of a later format.
    pub fn open(input: impl Read + 'static) -> Result<Self, Error> {
        let input: Box<dyn Read> = Box::new(MultiGzDecoder::new(BufReader::new(input)));
        let header = Header::new(String::new(), 0, 0, 0);
        let mut recording = Self { input: BufReader::new(input), header, entries: 0, line: Vec::new() };
        match recording.read_line() {
            Ok(true) => {}
            Ok(false) => return Err(Error::NoRecording("it is empty".into())),
            Err(Error::Cut { .. }) => return Err(Error::NoRecording("it ends before its header".into())),
            Err(Error::Read { source, .. }) => return Err(Error::NoRecording(source.to_string())),
            Err(error) => return Err(error),
        }
        let header: Header = serde_json::from_slice(&recording.line)
            .map_err(|error| Error::NoRecording(format!("the first line is no header: {error}")))?;
        if header.format != FORMAT {
            return Err(Error::NoRecording(format!("the first line says {:?}", header.format)));
        }
        if header.version != VERSION {
            return Err(Error::Version(header.version));
        }
        recording.header = header;
        Ok(recording)
    }

    /// What the correlator was told at its start.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next entry; None at the end.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        if !self.read_line()? {
            return Ok(None);
        }
        self.entries += 1;
        let damaged =
            |error: serde_json::Error| Error::Damaged { entry: self.entries, what: error.to_string() };
        serde_json::from_slice(&self.line).map(Some).map_err(damaged)
    }

    /// Reads a whole line; false at the end.
    fn read_line(&mut self) -> Result<bool, Error> {
        self.line.clear();
        let entries = self.entries;
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) => Ok(false),
            Ok(_) if self.line.ends_with(b"\n") => Ok(true),
            Ok(read) if read as u64 == MAX_LINE => {
                Err(Error::Damaged { entry: entries + 1, what: format!("longer than {MAX_LINE} bytes") })
            }
            Ok(_) => Err(Error::Cut { entries }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Cut { entries }),
            Err(source) => Err(Error::Read { entries, source }),
        }
    }
}
