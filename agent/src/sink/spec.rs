//! How an administrator says where events go: a table of the configuration, or a word of the command line
//! that means the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::file::{self, RotatingFile};
use super::filter::{Filter, Pattern};
use super::http::{Form, Headers, Http};
use super::journal::Journal;
use super::lines::Lines;
use super::queue::{Limits, WhenFull};
use super::socket::Socket;
use super::spool::{self, Spool};
use super::syslog::{Syslog, Target};
use super::worker::{Outlet, Sink};
use super::{Error, Sinks, rows};
use crate::config::file::secret;
use crate::config::value::{Age, Bytes};
use crate::event::Severity;
use crate::tls::{Client, Identity};

/// A sink as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SinkSpec {
    /// What it is.
    #[serde(rename = "type")]
    kind: Kind,
    /// Where: a path; for `syslog` `udp://HOST:PORT`, `tcp://HOST:PORT`, `tls://HOST:PORT` or a path; for
    /// `clickhouse` `http://HOST:8123`; for `otlp` `http://HOST:4318/v1/logs`; both also with `https://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Names (`session.end`) and families (`session.*`) of events. [default: all]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<Pattern>,
    /// Lowest severity. [default: info]
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    /// Bytes of events that may wait for the receiver. [default: 4M]
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer: Option<Bytes>,
    /// What goes when the buffer is full: `drop-newest` keeps the beginning of a trouble, `drop-oldest` the
    /// present. [default: drop-newest]
    #[serde(default)]
    when_full: WhenFull,
    /// `file`: size at which it rotates. [default: never]
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_size: Option<Bytes>,
    /// `file`: age at which it rotates, as `24h`. [default: never]
    #[serde(skip_serializing_if = "Option::is_none")]
    rotate_age: Option<Age>,
    /// `file`: rotated files that are kept. [default: 7]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<usize>,
    /// `file`: whether rotated files are compressed. [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    compress: Option<bool>,
    /// `file`: whether an event counts as written only when it is on the disk. [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    fsync: Option<bool>,
    /// `clickhouse`: the table, as `pptpscope` or `vpn.events`. [default: pptpscope]
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// `clickhouse`, `otlp`: file with headers, `Name: value` on each line, for authorisation. [default: none]
    #[serde(skip_serializing_if = "Option::is_none")]
    headers_file: Option<PathBuf>,
    /// `tls://`, `https://`: certificates of the authorities that may vouch for the receiver (PEM). [default: those
    /// of the system]
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    /// `tls://`, `https://`: certificate by which the receiver knows this host (PEM). [default: none]
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_file: Option<PathBuf>,
    /// Its key (PEM), a file that is not open to everybody. [default: none]
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    /// `socket`, `syslog`, `clickhouse`, `otlp`: file for events that wait, across restarts of the agent. [default:
    /// none, events wait in memory]
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<PathBuf>,
    /// Length of the spool; it takes room on the disk as it is used. [default: 256M]
    #[serde(skip_serializing_if = "Option::is_none")]
    spool_size: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SinkType")]
enum Kind {
    Stdout,
    File,
    Journal,
    Syslog,
    Socket,
    Clickhouse,
    Otlp,
    /// Takes away a sink of an earlier file.
    None,
}

impl SinkSpec {
    /// Whether it makes files, in folders that may be another user's.
    pub(crate) const fn makes_files(&self) -> bool {
        matches!(self.kind, Kind::File) || self.spool.is_some()
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File => "file",
            Self::Journal => "journal",
            Self::Syslog => "syslog",
            Self::Socket => "socket",
            Self::Clickhouse => "clickhouse",
            Self::Otlp => "otlp",
            Self::None => "none",
        }
    }
}

/// Rotated files that are kept when nothing else is said.
const KEEP: usize = 7;

impl SinkSpec {
    /// Standard output, with all events.
    pub const fn stdout() -> Self {
        Self {
            kind: Kind::Stdout,
            to: None,
            events: Vec::new(),
            severity: None,
            buffer: None,
            when_full: WhenFull::DropNewest,
            rotate_size: None,
            rotate_age: None,
            keep: None,
            compress: None,
            fsync: None,
            table: None,
            headers_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            spool: None,
            spool_size: None,
        }
    }

    /// Whether it only takes away one of an earlier file.
    pub fn is_none(&self) -> bool {
        self.kind == Kind::None
    }

    /// Whether it writes to standard output.
    pub fn is_stdout(&self) -> bool {
        self.kind == Kind::Stdout
    }

    /// What has to be so beyond the types.
    ///
    /// # Errors
    /// Names the key that is missing or out of place.
    pub fn check(&self) -> Result<(), String> {
        let kind = self.kind.name();
        if self.is_none() && *self != (Self { kind: Kind::None, ..Self::stdout() }) {
            return Err("a sink of type none has no other keys".into());
        }
        let needs_to = !matches!(self.kind, Kind::Stdout | Kind::Journal | Kind::None);
        if needs_to && self.to.is_none() {
            return Err(format!("a sink of type {kind} needs `to`"));
        }
        if !needs_to && self.to.is_some() {
            return Err(format!("a sink of type {kind} has no `to`"));
        }
        let is_http = matches!(self.kind, Kind::Clickhouse | Kind::Otlp);
        let begins = |with: &str| self.to.as_ref().is_some_and(|to| to.starts_with(with));
        if is_http && !begins("http://") && !begins("https://") {
            return Err(format!("`to` of a sink of type {kind} begins with http:// or https://"));
        }
        self.check_to()?;
        self.check_tls()?;
        self.check_spool()?;
        if self.headers_file.is_some() && !is_http {
            return Err(format!(
                "`headers-file` is for sinks of type clickhouse and otlp, this one is {kind}"
            ));
        }
        if self.table.is_some() && self.kind != Kind::Clickhouse {
            return Err(format!("`table` is for sinks of type clickhouse, this one is {kind}"));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
        if self.table.as_ref().is_some_and(|table| table.is_empty() || !table.chars().all(is_name)) {
            return Err("`table` is a name, or that of a database, a dot, and a name".into());
        }
        let file_only = [
            ("rotate-size", self.rotate_size.is_some()),
            ("rotate-age", self.rotate_age.is_some()),
            ("keep", self.keep.is_some()),
            ("compress", self.compress.is_some()),
            ("fsync", self.fsync.is_some()),
        ];
        match file_only.iter().find(|(_, is_set)| *is_set && self.kind != Kind::File) {
            Some((key, _)) => Err(format!("`{key}` is for sinks of type file, this one is {kind}")),
            None => Ok(()),
        }
    }

    /// Whether `to` is a place of its kind.
    fn check_to(&self) -> Result<(), String> {
        let to = self.to.as_deref().unwrap_or_default();
        let place = to.split_once("://");
        match (self.kind, place) {
            (Kind::Clickhouse | Kind::Otlp, Some((_, place))) => {
                let authority = place.split(['/', '?', '#']).next().unwrap_or_default();
                let query = place.split_once('?').map_or("", |(_, query)| query);
                let is_secret = |key: &str| ["user", "password"].contains(&key);
                if authority.contains('@')
                    || query.split('&').any(|pair| is_secret(pair.split('=').next().unwrap_or_default()))
                {
                    return Err(
                        "`to` is no place for names and passwords: put them into a `headers-file`, as \
                                `Authorization: …`, or `X-ClickHouse-User: …` and `X-ClickHouse-Key: …`"
                            .into(),
                    );
                }
                Ok(())
            }
            (Kind::Syslog, Some(("udp" | "tcp" | "tls", address))) => {
                let port =
                    address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
                match port.and_then(|port| port.parse::<u16>().ok()) {
                    Some(1..) => Ok(()),
                    _ => Err(format!("`{to}` has no port: udp://HOST:514, tcp://HOST:601, tls://HOST:6514")),
                }
            }
            (Kind::Syslog, Some((scheme, _))) => {
                Err(format!("`{scheme}://` is none of udp://, tcp:// and tls://, and no path"))
            }
            (Kind::File | Kind::Socket | Kind::Syslog, _) if !to.starts_with('/') => {
                Err(format!("`{to}` is no absolute path"))
            }
            _ => Ok(()),
        }
    }

    fn has_tls(&self) -> bool {
        self.to.as_ref().is_some_and(|to| match self.kind {
            Kind::Syslog => to.starts_with("tls://"),
            Kind::Clickhouse | Kind::Otlp => to.starts_with("https://"),
            _ => false,
        })
    }

    fn check_tls(&self) -> Result<(), String> {
        let keys = [
            ("ca-file", self.ca_file.is_some()),
            ("certificate-file", self.certificate_file.is_some()),
            ("key-file", self.key_file.is_some()),
        ];
        match keys.iter().find(|(_, is_set)| *is_set && !self.has_tls()) {
            Some((key, _)) => Err(format!("`{key}` is for sinks with `to` of tls:// or https://")),
            None if self.certificate_file.is_some() != self.key_file.is_some() => {
                Err("`certificate-file` and `key-file` go together".into())
            }
            None => Ok(()),
        }
    }

    fn check_spool(&self) -> Result<(), String> {
        if self.spool.is_none() {
            return match self.spool_size {
                Some(_) => Err("`spool-size` needs `spool`".into()),
                None => Ok(()),
            };
        }
        let is_far = matches!(self.kind, Kind::Socket | Kind::Syslog | Kind::Clickhouse | Kind::Otlp);
        if !is_far {
            return Err(format!(
                "`spool` is for sinks whose receiver may be away, this one is {}",
                self.kind.name()
            ));
        }
        Ok(())
    }

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

    /// The files that it writes to, which no other sink may.
    fn own_files(&self) -> impl Iterator<Item = &Path> {
        let file = self.to.as_deref().filter(|_| self.kind == Kind::File).map(Path::new);
        file.into_iter().chain(self.spool.as_deref())
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

/// Bytes of a spool when nothing else is said.
const SPOOL_BYTES: u64 = 256 << 20;

/// Table of ClickHouse when nothing else is said.
const TABLE: &str = "pptpscope";

/// Sinks by name, which messages, `agent.status`, `agent.loss` and metrics have for them.
pub type Named = BTreeMap<String, SinkSpec>;

/// Names for sinks that have none: their type, from the second of a type on with a number.
pub fn name_by_type(specs: &[SinkSpec]) -> Named {
    let mut named = Named::new();
    let mut numbers = BTreeMap::new();
    for spec in specs {
        let kind = spec.kind.name();
        let number = numbers.entry(kind).and_modify(|number| *number += 1).or_insert(1);
        let name = if *number == 1 { kind.to_owned() } else { format!("{kind}-{number}") };
        named.insert(name, spec.clone());
    }
    named
}

/// Whether all of them can be what they are beside each other.
///
/// # Errors
/// Names what two would write to.
pub fn check_together(specs: &Named) -> Result<(), String> {
    if specs.values().filter(|spec| spec.is_stdout()).count() > 1 {
        return Err("two sinks write to standard output".into());
    }
    let mut taken = BTreeSet::new();
    let twice = specs.values().flat_map(SinkSpec::own_files).find(|path| !taken.insert(*path));
    twice.map_or(Ok(()), |path| {
        Err(format!("two sinks write to {}: each needs a file of its own", path.display()))
    })
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

impl FromStr for SinkSpec {
    type Err = String;

    /// `TYPE[:TO][,KEY=VALUE]…`: `file:/var/log/events.jsonl,rotate-size=100M,events=session.*+finding`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let mut table = Table::new();
        let (kind, to) = head.split_once(':').map_or((head, None), |(kind, to)| (kind, Some(to)));
        table.insert("type".into(), kind.into());
        table.extend(to.map(|to| ("to".to_owned(), Value::from(to))));
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, "true"));
            let value = match (key, value) {
                (_, "true") => Value::from(true),
                (_, "false") => Value::from(false),
                ("events", names) => names.split('+').map(Value::from).collect::<Vec<_>>().into(),
                (_, number) if number.parse::<i64>().is_ok() => {
                    Value::from(number.parse::<i64>().unwrap_or(0))
                }
                (_, word) => word.into(),
            };
            if table.insert(key.to_owned(), value).is_some() {
                return Err(format!("`{key}` is given twice"));
            }
        }
        let spec = Self::deserialize(table).map_err(|error| error.message().to_owned())?;
        spec.check()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_of_the_command_line() {
        let spec: SinkSpec =
            "file:/tmp/x,rotate-size=2M,rotate-age=24h,keep=3,compress,events=session.*+finding,severity=warning"
                .parse()
                .unwrap();
        assert_eq!(spec.kind, Kind::File);
        assert_eq!(spec.to.as_deref(), Some("/tmp/x"));
        assert_eq!((spec.rotate_size.map(Bytes::get), spec.keep), (Some(2 << 20), Some(3)));
        assert_eq!(spec.rotate_age.map(Age::get), Some(std::time::Duration::from_secs(86_400)));
        assert_eq!((spec.compress, spec.fsync), (Some(true), None));
        assert_eq!(spec.events.len(), 2);
        assert_eq!(spec.severity, Some(Severity::Warning));
        assert!("stdout".parse::<SinkSpec>().unwrap().is_stdout());
        let syslog: SinkSpec = "syslog:tcp://[::1]:601,when-full=drop-oldest,buffer=64K".parse().unwrap();
        assert_eq!(syslog.to.as_deref(), Some("tcp://[::1]:601"));
        assert_eq!((syslog.when_full, syslog.buffer.map(Bytes::get)), (WhenFull::DropOldest, Some(65536)));
    }

    #[test]
    fn two_sinks_do_not_share_a_file() {
        let check = |texts: &[&str]| {
            let specs: Vec<SinkSpec> = texts.iter().map(|text| text.parse().unwrap()).collect();
            check_together(&name_by_type(&specs))
        };
        assert_eq!(check(&["file:/x", "file:/y", "socket:/x", "otlp:http://h,spool=/z", "stdout"]), Ok(()));
        assert!(
            check(&["file:/x", "stdout", "file:/x,keep=3"]).unwrap_err().contains("two sinks write to /x")
        );
        assert!(check(&["stdout", "stdout,events=finding"]).is_err());
        assert!(check(&["socket:/s,spool=/z", "otlp:http://h,spool=/z"]).unwrap_err().contains("/z"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, complaint) in [
            ("fiel:/x", "unknown variant `fiel`"),
            ("file", "needs `to`"),
            ("journal:/x", "has no `to`"),
            ("file:/x,rotate=1M", "unknown field `rotate`"),
            ("file:/x,rotate-size=big", "64K, 100M, 2G"),
            ("file:/x,rotate-size=0", "64K, 100M, 2G"),
            ("file:/x,rotate-size=99999999999G", "64K, 100M, 2G"),
            ("file:/x,rotate-age=soon", "is no age"),
            ("stdout,keep=3", "`keep` is for sinks of type file"),
            ("stdout,events=Session", "is neither the name"),
            ("stdout,severity=bad", "unknown variant `bad`"),
            ("stdout,compress,compress", "given twice"),
            ("clickhouse:ftp://x", "begins with http:// or https://"),
            ("otlp:http://x,ca-file=/y", "`ca-file` is for sinks with `to` of tls:// or https://"),
            ("syslog:tcp://x:1,key-file=/y", "`key-file` is for sinks with"),
            ("syslog:tls://x:1,key-file=/y", "go together"),
            ("file:/x,spool=/y", "whose receiver may be away"),
            ("otlp:http://x,spool-size=1M", "needs `spool`"),
            ("otlp", "needs `to`"),
            ("otlp:http://x,table=t", "`table` is for sinks of type clickhouse"),
            ("clickhouse:http://x,table=a;b", "`table` is a name"),
            ("file:/x,headers-file=/y", "`headers-file` is for"),
            ("none:/x", "no other keys"),
            ("file:x", "`x` is no absolute path"),
            ("socket:x", "no absolute path"),
            ("syslog:dev/log", "no absolute path"),
            ("syslog:tpc://x:601", "`tpc://` is none of udp://, tcp:// and tls://"),
            ("syslog:tcp://loghost", "has no port"),
            ("syslog:tcp://[::1]", "has no port"),
            ("syslog:tcp://:601", "has no port"),
            ("syslog:udp://x:0", "has no port"),
            ("otlp:http://bob:hunter2@x/", "put them into a `headers-file`"),
            ("clickhouse:http://x:8123/?database=d&password=hunter2", "put them into a `headers-file`"),
            ("none,severity=warning", "no other keys"),
        ] {
            let error = text.parse::<SinkSpec>().unwrap_err();
            assert!(error.contains(complaint) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
