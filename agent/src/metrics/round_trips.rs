//! A histogram that is counted in the kernel: the buckets come as they are, not sample by sample.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use pptpscope_common::{ROUND_TRIP_BUCKETS, ROUND_TRIP_FIRST_BITS};
use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::lock;
use crate::event::gre::RoundTrips as Counted;

/// The directions of a call, as the label has them.
pub(super) const DIRECTIONS: [&str; 2] = ["from_client", "from_server"];

/// Round trips of acknowledgements, by direction.
#[derive(Clone, Debug)]
pub(super) struct RoundTrips {
    desc: Desc,
    sums: Arc<Mutex<[Sum; DIRECTIONS.len()]>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    buckets: [u64; ROUND_TRIP_BUCKETS],
    /// A thousand calls fill 64 bits within months.
    ns: u128,
}

impl RoundTrips {
    pub(super) fn new(name: String, help: String) -> Result<Self, prometheus::Error> {
        let desc = Desc::new(name, help, vec!["direction".to_owned()], HashMap::new())?;
        Ok(Self { desc, sums: Arc::default() })
    }

    /// Adds what `now` has more than `before`.
    pub(super) fn add(&self, direction: usize, before: &Counted, now: &Counted) {
        let mut sums = lock(&self.sums);
        let Some(sum) = sums.get_mut(direction) else { return };
        for ((bucket, before), now) in sum.buckets.iter_mut().zip(before.histogram).zip(now.histogram) {
            *bucket += now.saturating_sub(before);
        }
        sum.ns += u128::from(now.sum_ns.saturating_sub(before.sum_ns));
    }
}

impl Sum {
    fn histogram(&self) -> proto::Histogram {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (bits, samples) in (ROUND_TRIP_FIRST_BITS..).zip(self.buckets) {
            count += samples;
            let mut bucket = proto::Bucket::default();
            // The kernel counts what is below a power of two, Prometheus what is not above a bound.
            bucket.set_upper_bound(((1u64 << bits) - 1) as f64 / 1e9);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
        // The last one has no end, and is what the encoder adds.
        buckets.pop();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(self.ns as f64 / 1e9);
        histogram
    }
}

impl Collector for RoundTrips {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let sums = *lock(&self.sums);
        let metrics = DIRECTIONS.iter().zip(&sums).map(|(direction, sum)| {
            let mut label = proto::LabelPair::default();
            label.set_name("direction".to_owned());
            label.set_value((*direction).to_owned());
            let mut metric = proto::Metric::from_label(vec![label]);
            metric.set_histogram(sum.histogram());
            metric
        });
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(proto::MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        vec![family]
    }
}
