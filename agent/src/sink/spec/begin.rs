//! From what was asked for to sinks that run.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::{Kind, Named, SinkSpec};
use crate::config::file::secret;
use crate::config::value::{Age, Bytes};
use crate::sink::file::{self, RotatingFile};
use crate::sink::filter::Filter;
use crate::sink::http::{Form, Headers, Http};
use crate::sink::journal::Journal;
use crate::sink::lines::Lines;
use crate::sink::queue::Limits;
use crate::sink::socket::Socket;
use crate::sink::spool::{self, Spool};
use crate::sink::syslog::{Syslog, Target};
use crate::sink::worker::{Outlet, Sink};
use crate::sink::{Error, Sinks, rows};
use crate::tls::{Client, Identity};

/// Rotated files that are kept when nothing else is said.
const KEEP: usize = 7;
/// Bytes of a spool when nothing else is said.
const SPOOL_BYTES: u64 = 256 << 20;

/// Table of ClickHouse when nothing else is said.
const TABLE: &str = "pptpscope";

impl SinkSpec {
    /// What TLS needs; None without it.
    fn tls(&self) -> io::Result<Option<Client>> {
        if !self.has_tls() {
            return Ok(None);
        }
        let identity = match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some(Identity::read(certificate, key)?),
            _ => None,
        };
        Client::new(self.ca_file.as_deref(), identity).map(Some)
    }

    /// Whether the files that it needs are what they should be.
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn check_files(&self) -> io::Result<()> {
        self.headers()?;
        self.tls().map(drop)
    }

    fn spool(&self) -> io::Result<Option<Spool>> {
        let Some(path) = self.spool.clone() else { return Ok(None) };
        let bytes = self.spool_size.map_or(SPOOL_BYTES, Bytes::get);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let settings = spool::Settings { path: path.clone(), bytes, when_full: self.when_full };
        Spool::open(settings).map(Some).map_err(named)
    }

    fn headers(&self) -> io::Result<Headers> {
        let Some(path) = &self.headers_file else { return Ok(Headers::default()) };
        let wrong =
            |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        let text = secret(path).map_err(|error| wrong(error.to_string()))?;
        Headers::parse(&text).map_err(wrong)
    }

    /// Begins it.
    fn add_to(&self, sinks: &mut Sinks, name: &str, host: &str) -> Result<(), Error> {
        let name = name.to_owned();
        let to = self.to.clone().unwrap_or_default();
        let filter = Filter { events: self.events.clone(), severity: self.severity };
        let default = Limits::default();
        let limits = Limits {
            bytes: self
                .buffer
                .map_or(default.bytes, |bytes| usize::try_from(bytes.get()).unwrap_or(usize::MAX)),
            when_full: self.when_full,
        };
        let failed = |source| Error::Begin { name: name.clone(), source };
        let tls = self.tls().map_err(failed)?;
        let spool = self.spool().map_err(failed)?;
        let start = Start { name: name.clone(), filter, limits, spool };
        match self.kind {
            Kind::Stdout => {
                // Not `Stdout`, which keeps lines back when there is no room for them.
                let output = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
                sinks.add_stdout(start.with(Lines::new(File::from(output)))?);
            }
            Kind::File => {
                let settings = file::Settings {
                    path: PathBuf::from(to),
                    rotate_bytes: self.rotate_size.map(Bytes::get),
                    rotate_age: self.rotate_age.map(Age::get),
                    keep: self.keep.unwrap_or(KEEP),
                    compress: self.compress.unwrap_or(false),
                    fsync: self.fsync.unwrap_or(false),
                };
                sinks.add(start.with(RotatingFile::open(settings).map_err(failed)?)?);
                sinks.set_reopens();
            }
            Kind::Journal => sinks.add(start.with(Journal)?),
            Kind::Syslog => {
                let target = match (to.split_once("://"), &tls) {
                    (Some(("udp", address)), _) => Target::Udp(address.to_owned()),
                    (Some(("tcp", address)), _) => Target::Tcp(address.to_owned()),
                    (Some(("tls", address)), Some(tls)) => {
                        Target::Tls(address.to_owned(), tls.stream().map_err(failed)?)
                    }
                    _ => Target::Unix(PathBuf::from(to)),
                };
                sinks.add(start.with(Syslog::new(target, host))?);
            }
            Kind::Clickhouse => {
                let url = rows::url(&to, self.table.as_deref().unwrap_or(TABLE));
                let headers = self.headers().map_err(failed)?;
                sinks.add(start.with(Http::new(url, Form::Rows, headers, tls.as_ref()))?);
            }
            Kind::Otlp => {
                let headers = self.headers().map_err(failed)?;
                sinks.add(start.with(Http::new(to, Form::Otlp, headers, tls.as_ref()))?);
            }
            Kind::Socket => sinks.add(start.with(Socket::new(PathBuf::from(to)))?),
            Kind::None => {}
        }
        Ok(())
    }
}

/// What every sink begins with.
struct Start {
    name: String,
    filter: Filter,
    limits: Limits,
    spool: Option<Spool>,
}

impl Start {
    fn with(self, outlet: impl Outlet + 'static) -> Result<Sink, Error> {
        Sink::start(self.name, outlet, self.filter, self.limits, self.spool)
    }
}

/// Begins all of them.
///
/// # Errors
/// Names the sink that cannot begin.
pub fn begin(specs: &Named, host: &str) -> Result<Sinks, Error> {
    let mut sinks = Sinks::new();
    specs.iter().try_for_each(|(name, spec)| spec.add_to(&mut sinks, name, host))?;
    Ok(sinks)
}
