//! What `pptpscope run` can be told: on the command line, in `/etc/pptpscope/pptpscope.toml`, and in drop-ins
//! beside it. One type is all three, so that none can have an option that the others lack.

pub mod change;
pub mod file;
pub mod manual;
pub mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::IngressMode;
use crate::metrics::server::Token;
use crate::privacy::{Key, Mode, Privacy};
use crate::sink::spec::{self, SinkSpec};
use crate::source::follow;
use crate::source::radius::{self, MAX_PORTS, PORTS, Secrets};
use crate::tls::Identity;
use value::{Number, RingBytes};

/// Where the configuration is when nothing else is said.
pub const DEFAULT_FILE: &str = "/etc/pptpscope/pptpscope.toml";

/// Seconds up to a day.
pub type Seconds = Number<1, 86_400>;

const STATS_INTERVAL: Seconds = Seconds::near(10);
const STATUS_INTERVAL: Seconds = Seconds::near(60);
const MAX_SESSIONS: Number<4, 1_000_000> = Number::near(4096);
const LOG_BACK: Number<0, 10_080> = Number::near(60);

/// One layer of options: what it does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Watch this interface instead of choosing; may be given more than once. One that does not exist yet is
    /// waited for. [default: all that carry calls]
    #[arg(short, long = "interface", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,

    /// Hook for received packets. [default: auto]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Seconds between gre.stats and session.stats of a call that carries packets. [default: 10]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats_interval: Option<Seconds>,

    /// Seconds between agent.status events. [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_interval: Option<Seconds>,

    /// Calls that are followed at once. The kernel keeps two map entries of about 600 bytes for each, taken at
    /// the start. [default: 4096]
    #[arg(long, value_name = "CALLS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<Number<4, 1_000_000>>,

    /// Size of the ring between kernel and agent, bytes: a power of two and a multiple of the page size.
    /// [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_bytes: Option<RingBytes>,

    /// Attach the probes that fire for every packet from the start, instead of for a time when packets are
    /// missing without a reason. [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deep: Option<bool>,

    /// Also record everything that is observed into this file, for `pptpscope replay`. [default: none]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PathBuf>,

    /// End after this many seconds instead of waiting for a signal. [default: never]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,

    /// How much is said on standard error: 0, 1, or 2 for what the kernel programs log of rare packets. On
    /// the command line: -v, -vv. [default: 0]
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<Number<0, 2>>,

    /// RADIUS on the wire.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub radius: Radius,

    /// The logs that are followed.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub logs: Logs,

    /// Metrics for Prometheus.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Metrics,

    /// Names and addresses in the events.
    #[command(flatten)]
    #[serde(skip_serializing_if = "is_default")]
    pub privacy: Private,

    /// Where events go, each sink under a name of your choice. A sink of a later file takes the place of
    /// one with the same name and leaves the others (type `none` takes it away); `--sink` takes the place of all.
    /// [default: standard output]
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sinks: Option<spec::Named>,
}

/// RADIUS on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Radius {
    /// UDP port of RADIUS servers; may be given more than once. [default: 1812, 1813, 1645, 1646]
    #[arg(long = "radius-port", value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Number<1, 65_535>>>,

    /// File with the shared secret of the RADIUS servers, or lines of address and secret as in
    /// /etc/radcli/servers: answers made with another secret are then named. The secret goes nowhere else.
    /// [default: none]
    #[arg(long = "radius-secret-file", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

/// The logs that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Logs {
    /// Whether logs are followed; on the command line --no-logs. [default: true]
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,

    /// Follow this log; may be given more than once. One that does not exist yet is waited for. [default:
    /// without files and journal the syslog of this host, else its journal, and the logs of accel-ppp and
    /// FreeRADIUS in their usual places]
    #[arg(long = "log", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<PathBuf>>,

    /// Follow the journal. [default: where there is no syslog file]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<bool>,

    /// Minutes of the logs that are read back at the start, for calls that are up already. [default: 60]
    #[arg(long = "log-back", value_name = "MINUTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back: Option<Number<0, 10_080>>,

    /// Write an event for every line of a log that is recognised, also for debug output. [default: false]
    #[arg(long = "all-log-lines", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_lines: Option<bool>,
}

/// Metrics for Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(rename = "MetricsSettings")]
pub struct Metrics {
    /// Address and port where metrics are served, as 127.0.0.1:9723. [default: not served]
    #[arg(long = "metrics", value_name = "ADDRESS")]
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,

    /// File with the bearer token that a scraper must show; required for an address that is not the loopback.
    /// [default: none]
    #[arg(long = "metrics-token-file", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,

    /// Certificate of the server (PEM), with those that lead to its authority: metrics are served by HTTPS.
    /// [default: none, plain HTTP]
    #[arg(id = "metrics_certificate_file", long = "metrics-certificate-file", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,

    /// Its key (PEM), a file that is not open to everybody. [default: none]
    #[arg(id = "metrics_key_file", long = "metrics-key-file", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Names and addresses in the events.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Private {
    /// Names of users and of their computers. [default: plain]
    #[arg(long = "privacy-user", value_enum, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Mode>,

    /// Addresses, also those of servers. [default: plain]
    #[arg(long = "privacy-address", value_enum, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Mode>,

    /// File with the key of the hashes, 16 characters or more; required for `hash`. [default: none]
    #[arg(long = "privacy-key-file", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Hook for received packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// XDP where the driver does it natively, else TC.
    Auto,
    /// Native XDP only.
    Xdp,
    /// TC only: when another program owns XDP, or the driver resets its link for it.
    Tc,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Settings {
    /// What holds where nobody says anything.
    pub fn defaults() -> Self {
        Self {
            ingress: Some(Ingress::Auto),
            stats_interval: Some(STATS_INTERVAL),
            status_interval: Some(STATUS_INTERVAL),
            max_sessions: Some(MAX_SESSIONS),
            ring_bytes: Some(RingBytes::DEFAULT),
            deep: Some(false),
            verbosity: Some(Number::near(0)),
            radius: Radius {
                ports: Some(PORTS.map(|port| Number::near(port.into())).to_vec()),
                ..Radius::default()
            },
            logs: Logs {
                follow: Some(true),
                back: Some(LOG_BACK),
                all_lines: Some(false),
                ..Logs::default()
            },
            privacy: Private { user: Some(Mode::Plain), address: Some(Mode::Plain), key_file: None },
            sinks: Some(spec::name_by_type(&[SinkSpec::stdout()])),
            ..Self::default()
        }
    }

    /// These of a later file, and what they do not say from the files before it: also the sinks that they do not name.
    #[must_use]
    pub fn after(mut self, before: Self) -> Self {
        if let (Some(sinks), Some(earlier)) = (&mut self.sinks, &before.sinks) {
            for (name, sink) in earlier {
                sinks.entry(name.clone()).or_insert_with(|| sink.clone());
            }
        }
        self.over(before)
    }

    /// These, and what they do not say from `below`.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            interfaces: self.interfaces.or(below.interfaces),
            ingress: self.ingress.or(below.ingress),
            stats_interval: self.stats_interval.or(below.stats_interval),
            status_interval: self.status_interval.or(below.status_interval),
            max_sessions: self.max_sessions.or(below.max_sessions),
            ring_bytes: self.ring_bytes.or(below.ring_bytes),
            deep: self.deep.or(below.deep),
            record: self.record.or(below.record),
            duration: self.duration.or(below.duration),
            verbosity: self.verbosity.or(below.verbosity),
            radius: Radius {
                ports: self.radius.ports.or(below.radius.ports),
                secret_file: self.radius.secret_file.or(below.radius.secret_file),
            },
            logs: Logs {
                follow: self.logs.follow.or(below.logs.follow),
                files: self.logs.files.or(below.logs.files),
                journal: self.logs.journal.or(below.logs.journal),
                back: self.logs.back.or(below.logs.back),
                all_lines: self.logs.all_lines.or(below.logs.all_lines),
            },
            metrics: Metrics {
                listen: self.metrics.listen.or(below.metrics.listen),
                token_file: self.metrics.token_file.or(below.metrics.token_file),
                certificate_file: self.metrics.certificate_file.or(below.metrics.certificate_file),
                key_file: self.metrics.key_file.or(below.metrics.key_file),
            },
            privacy: Private {
                user: self.privacy.user.or(below.privacy.user),
                address: self.privacy.address.or(below.privacy.address),
                key_file: self.privacy.key_file.or(below.privacy.key_file),
            },
            sinks: self.sinks.or(below.sinks),
        }
    }

    /// Seconds between `gre.stats` of a call.
    pub fn stats_interval(&self) -> Seconds {
        self.stats_interval.unwrap_or(STATS_INTERVAL)
    }

    /// Seconds between `agent.status`.
    pub fn status_interval(&self) -> Seconds {
        self.status_interval.unwrap_or(STATUS_INTERVAL)
    }

    /// Calls that are followed at once.
    pub fn max_sessions(&self) -> Number<4, 1_000_000> {
        self.max_sessions.unwrap_or(MAX_SESSIONS)
    }

    /// Size of the ring.
    pub fn ring_bytes(&self) -> RingBytes {
        self.ring_bytes.unwrap_or(RingBytes::DEFAULT)
    }

    /// The sinks by name, without those of type `none`.
    pub fn sinks(&self) -> spec::Named {
        let Some(sinks) = &self.sinks else { return spec::name_by_type(&[SinkSpec::stdout()]) };
        let there = sinks.iter().filter(|(_, sink)| !sink.is_none());
        there.map(|(name, sink)| (name.clone(), sink.clone())).collect()
    }
}

impl Radius {
    /// Reads the secrets.
    ///
    /// # Errors
    /// When they cannot be read, everybody else can, or there are too many ports.
    pub fn settings(&self) -> anyhow::Result<radius::Settings> {
        let ports = self.ports.iter().flatten();
        let mut ports: Vec<u16> = ports.filter_map(|port| u16::try_from(port.get()).ok()).collect();
        ensure!(ports.len() <= MAX_PORTS, "there may be {MAX_PORTS} ports of RADIUS at most");
        if ports.is_empty() {
            ports = PORTS.to_vec();
        }
        let secrets = match &self.secret_file {
            Some(path) => {
                let failed = || format!("cannot use the secrets of RADIUS in {}", path.display());
                let text = file::secret(path).with_context(failed)?;
                Secrets::parse(&text).with_context(failed)?
            }
            None => Secrets::default(),
        };
        Ok(radius::Settings { ports, secrets })
    }
}

impl Logs {
    /// What to follow.
    pub fn options(&self) -> follow::Options {
        let back = Duration::from_secs(60 * u64::from(self.back.unwrap_or(LOG_BACK).get()));
        let journal = self.journal.unwrap_or(false);
        if !self.follow.unwrap_or(true) {
            return follow::Options::default();
        }
        match self.files.as_deref() {
            None | Some([]) if !journal => follow::Options::detect(back),
            files => follow::Options {
                files: files.unwrap_or_default().to_vec(),
                journal,
                back,
                ..Default::default()
            },
        }
    }
}

impl Metrics {
    /// Reads the token.
    ///
    /// # Errors
    /// When it is needed and not there, or others can read it.
    pub fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(path) = &self.token_file else {
            let is_open = self.listen.is_some_and(|address| !address.ip().is_loopback());
            ensure!(
                !is_open,
                "metrics on an address that is not the loopback need a token: [metrics] token-file, or --metrics-token-file"
            );
            return Ok(None);
        };
        let text = file::secret(path)
            .with_context(|| format!("cannot use the token of metrics in {}", path.display()))?;
        let token = Token::new(&text).with_context(|| format!("there is no token in {}", path.display()))?;
        Ok(Some(token))
    }

    /// Reads certificate and key; None without them.
    ///
    /// # Errors
    /// When only one is named, or they are not what they should be.
    pub fn identity(&self) -> anyhow::Result<Option<Identity>> {
        match (&self.certificate_file, &self.key_file) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let identity = Identity::read(certificate, key);
                Ok(Some(identity.context("cannot use the certificate of metrics")?))
            }
            _ => bail!("certificate-file and key-file of [metrics] go together"),
        }
    }
}

impl Private {
    /// Reads the key. None when all is plain.
    ///
    /// # Errors
    /// When the key is needed and not there, too short, or others can read it.
    pub fn privacy(&self) -> anyhow::Result<Option<Privacy>> {
        let (user, address) = (self.user.unwrap_or_default(), self.address.unwrap_or_default());
        let key = match &self.key_file {
            Some(path) => {
                let failed = || format!("cannot use the key of privacy in {}", path.display());
                let text = file::secret(path).with_context(failed)?;
                Some(Key::new(&text).with_context(failed)?)
            }
            None => None,
        };
        ensure!(
            key.is_some() || ![user, address].contains(&Mode::Hash),
            "hashes need a key, else they could be undone by trying: [privacy] key-file, or --privacy-key-file"
        );
        Ok(Privacy::new(user, address, key))
    }
}

impl From<Ingress> for IngressMode {
    fn from(ingress: Ingress) -> Self {
        match ingress {
            Ingress::Auto => Self::Auto,
            Ingress::Xdp => Self::Xdp,
            Ingress::Tc => Self::Tc,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_layer_wins_and_the_lower_one_fills() {
        let upper: Settings =
            toml::from_str("deep = true\n[logs]\nback = 5\n[sinks.a]\ntype = 'journal'").unwrap();
        let lower: Settings = toml::from_str(
            "deep = false\nmax-sessions = 8\n[logs]\nback = 6\nall-lines = true\n[sinks.b]\ntype = 'stdout'",
        )
        .unwrap();
        let both = upper.over(lower).over(Settings::defaults());
        assert_eq!((both.deep, both.max_sessions.map(Number::get)), (Some(true), Some(8)));
        assert_eq!((both.logs.back.map(Number::get), both.logs.all_lines), (Some(5), Some(true)));
        assert_eq!(both.sinks.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(both.stats_interval, Some(STATS_INTERVAL));
    }

    #[test]
    fn a_later_file_adds_sinks_replaces_them_by_name_and_takes_them_away() {
        let read = |text: &str| toml::from_str::<Settings>(text).unwrap();
        let package = || read("[sinks.events]\ntype = 'stdout'\n[sinks.findings]\ntype = 'journal'");
        let sinks = |drop_in: &str| {
            let sinks = read(drop_in).after(package()).over(Settings::defaults()).sinks();
            sinks.into_values().collect::<Vec<_>>()
        };
        assert_eq!(sinks("deep = true").len(), 2);
        assert_eq!(sinks("[sinks.more]\ntype = 'socket'\nto = '/x'").len(), 3);
        let replaced = sinks("[sinks.events]\ntype = 'stdout'\nevents = ['finding']");
        assert_eq!((replaced.len(), replaced.contains(&SinkSpec::stdout())), (2, false));
        assert_eq!(sinks("[sinks.findings]\ntype = 'none'"), [SinkSpec::stdout()]);
        assert_eq!(sinks("[sinks.findings]\ntype = 'none'\n[sinks.events]\ntype = 'none'"), []);
    }

    #[test]
    fn what_is_dumped_is_what_was_read() {
        let settings = Settings {
            interfaces: Some(vec!["eth0".into()]),
            duration: Some(3),
            record: Some("/tmp/x".into()),
            sinks: Some(spec::Named::from([(
                "events".to_owned(),
                "file:/x,rotate-size=2M,rotate-age=24h,keep=3,compress,events=session.*+finding,severity=warning"
                    .parse()
                    .unwrap(),
            )])),
            ..Settings::defaults()
        };
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
    }
}
