//! Round trips of GRE acknowledgements as a histogram. The kernel has sorted them into buckets already, which the
//! crate's own histogram cannot take.

use std::sync::Mutex;

use pptpscope_common::{ROUND_TRIP_BUCKETS, ROUND_TRIP_FIRST_BITS};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::lock;
use crate::event::gre::RoundTrips;

/// Samples of a direction.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum_ns: u64,
    histogram: [u64; ROUND_TRIP_BUCKETS],
}

/// A histogram for each direction.
#[derive(Debug)]
pub(super) struct RoundTripHistogram {
    description: Desc,
    sums: Mutex<[(&'static str, Sum); 2]>,
}

impl RoundTripHistogram {
    /// Empty ones for the two `directions`.
    ///
    /// # Errors
    /// When the name is none.
    pub(super) fn new(name: &str, help: &str, directions: [&'static str; 2]) -> prometheus::Result<Self> {
        let labels = vec!["direction".to_owned()];
        Ok(Self {
            description: Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())?,
            sums: Mutex::new(directions.map(|direction| (direction, Sum::default()))),
        })
    }

    /// Adds what `now` has more than `before`.
    pub(super) fn add(&self, direction: &str, before: &RoundTrips, now: &RoundTrips) {
        for (_, sum) in lock(&self.sums).iter_mut().filter(|(name, _)| *name == direction) {
            sum.sum_ns = sum.sum_ns.saturating_add(now.sum_ns.saturating_sub(before.sum_ns));
            let counts =
                now.histogram.iter().zip(before.histogram).map(|(now, before)| now.saturating_sub(before));
            sum.histogram.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
}

impl Sum {
    /// The last bucket has no bound: `+Inf` stands for it.
    fn histogram(&self) -> Histogram {
        let mut cumulative = 0;
        let buckets = self.histogram.iter().zip(ROUND_TRIP_FIRST_BITS..).take(ROUND_TRIP_BUCKETS - 1);
        let buckets = buckets.map(|(count, bits)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound((1_u64 << bits) as f64 / 1e9);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.histogram.iter().sum());
        histogram.set_sample_sum(self.sum_ns as f64 / 1e9);
        histogram
    }
}

impl Collector for RoundTripHistogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = |(direction, sum): &(&str, Sum)| {
            let mut label = LabelPair::default();
            label.set_name("direction".to_owned());
            label.set_value((*direction).to_owned());
            let mut metric = Metric::from_label(vec![label]);
            metric.set_histogram(sum.histogram());
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.description.fq_name.clone());
        family.set_help(self.description.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(lock(&self.sums).iter().map(metric).collect());
        vec![family]
    }
}
