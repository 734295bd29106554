//! Makes metrics, and remembers what they mean.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

use super::Error;
use super::round_trips::RoundTrips;

/// What a metric is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<String>,
    /// What it tells.
    pub help: String,
}

/// Metrics of one origin.
#[derive(Debug, Default)]
pub(super) struct Book {
    registry: Registry,
    definitions: Vec<Definition>,
}

impl Book {
    /// All with a value.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// All.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.iter()
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> Result<IntCounter, Error> {
        let options = self.define("counter", name, help, &[]);
        self.register(IntCounter::with_opts(options)?)
    }

    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, Error> {
        let options = self.define("counter", name, help, labels);
        self.register(IntCounterVec::new(options, labels)?)
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        let options = self.define("gauge", name, help, labels);
        self.register(GaugeVec::new(options, labels)?)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, Error> {
        let options = self.define("gauge", name, help, &[]);
        self.register(IntGauge::with_opts(options)?)
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let options =
            HistogramOpts::from(self.define("histogram", name, help, &[])).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options)?)
    }

    pub(super) fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, Error> {
        let options =
            HistogramOpts::from(self.define("histogram", name, help, labels)).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }

    /// See [`RoundTrips`].
    pub(super) fn round_trips(&mut self, name: &str, help: &str) -> Result<RoundTrips, Error> {
        let options = self.define("histogram", name, help, &["direction"]);
        self.register(RoundTrips::new(options.name, options.help)?)
    }

    /// Counters whose values are known already.
    pub(super) fn sums<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], u64)>,
    ) -> Result<(), Error> {
        // The text of Prometheus has floating point anyway.
        self.amounts(name, help, labels, values.into_iter().map(|(labels, value)| (labels, value as f64)))
    }

    /// Counters of no whole number whose values are known already.
    pub(super) fn amounts<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> Result<(), Error> {
        let options = self.define("counter", name, help, &labels);
        let counters = self.register(CounterVec::new(options, &labels)?)?;
        for (labels, value) in values {
            counters.with_label_values(&labels).inc_by(value);
        }
        Ok(())
    }

    /// Gauges whose values are known already.
    pub(super) fn values<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> Result<(), Error> {
        let gauges = self.gauges(name, help, &labels)?;
        for (labels, value) in values {
            gauges.with_label_values(&labels).set(value);
        }
        Ok(())
    }

    fn define(&mut self, kind: &'static str, name: &str, help: &str, labels: &[&str]) -> Opts {
        // Those about the process have the names that every exporter gives them.
        let name = if name.starts_with("process_") { name.to_owned() } else { format!("pptpscope_{name}") };
        let labels = labels.iter().map(ToString::to_string).collect();
        self.definitions.push(Definition { name: name.clone(), kind, labels, help: help.to_owned() });
        Opts::new(name, help)
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}
