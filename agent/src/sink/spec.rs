//! How an administrator says where events go: a table of the configuration, or a word of the command line
//! that means the same.

mod begin;
mod check;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::filter::Pattern;
use super::queue::WhenFull;
use crate::config::value::{Age, Bytes};
use crate::event::Severity;
pub use begin::begin;
pub use check::check_together;

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
}

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
