//! What has to be so of a sink beyond the types.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Kind, Named, SinkSpec};

impl SinkSpec {
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

    pub(super) fn has_tls(&self) -> bool {
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

    /// The files that it writes to, which no other sink may.
    fn own_files(&self) -> impl Iterator<Item = &Path> {
        let file = self.to.as_deref().filter(|_| self.kind == Kind::File).map(Path::new);
        file.into_iter().chain(self.spool.as_deref())
    }
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
