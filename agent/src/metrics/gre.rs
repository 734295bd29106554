//! What the GRE packets of calls add up to, and what share of them was not as it should be.

use prometheus::{HistogramVec, IntCounterVec};

use super::Error;
use super::book::Book;
use super::round_trips::{DIRECTIONS, RoundTrips};
use crate::event::gre::Counters;

/// A call can be worked with up to a loss of some thousandths.
const SHARES: [f64; 8] = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

/// See the module.
#[derive(Debug)]
pub(super) struct Gre {
    packets: IntCounterVec,
    bytes: IntCounterVec,
    ack_only: IntCounterVec,
    lost: IntCounterVec,
    late: IntCounterVec,
    reordered: IntCounterVec,
    duplicate: IntCounterVec,
    fragments: IntCounterVec,
    ack_timeouts: IntCounterVec,
    round_trips: RoundTrips,
    lost_share: HistogramVec,
    reordered_share: HistogramVec,
    duplicate_share: HistogramVec,
}

/// What was counted of a call so far, in the order of [`DIRECTIONS`].
pub(super) type Counted = [Counters; DIRECTIONS.len()];

impl Gre {
    /// All at zero.
    pub(super) fn new(book: &mut Book) -> Result<Self, Error> {
        let mut sum = |name: &str, help: &str| book.counters(name, help, &["direction"]);
        let (packets, bytes, ack_only, lost, late, reordered, duplicate, fragments, ack_timeouts) = (
            sum("gre_packets_total", "GRE packets of calls; a fragmented one counts once.")?,
            sum("gre_bytes_total", "Bytes of these packets, as IPv4 total length.")?,
            sum("gre_ack_only_packets_total", "Packets with an acknowledgement and no payload.")?,
            sum(
                "gre_lost_packets_total",
                "Sequence numbers that did not come within 64 packets. Those that came later are in gre_late_packets_total: subtract them.",
            )?,
            sum("gre_late_packets_total", "Packets that came after they had been counted as lost.")?,
            sum("gre_reordered_packets_total", "First arrivals below the highest number seen.")?,
            sum("gre_duplicate_packets_total", "Sequence numbers seen before.")?,
            sum("gre_fragments_total", "IPv4 fragments of GRE packets.")?,
            sum(
                "gre_ack_timeouts_total",
                "Samples of gre_ack_round_trip_seconds that were not answered within 3 s; they are not in it.",
            )?,
        );
        let mut share = |name: &str, help: &str| book.histograms(name, help, &["direction"], &SHARES);
        Ok(Self {
            packets,
            bytes,
            ack_only,
            lost,
            late,
            reordered,
            duplicate,
            fragments,
            ack_timeouts,
            lost_share: share(
                "call_lost_ratio",
                "Of each call at its end: the part of its sequence numbers that never came.",
            )?,
            reordered_share: share(
                "call_reordered_ratio",
                "Of each call at its end: the part of the packets that came after a later one.",
            )?,
            duplicate_share: share(
                "call_duplicate_ratio",
                "Of each call at its end: the part of the packets that had come before.",
            )?,
            round_trips: book.round_trips(
                "gre_ack_round_trip_seconds",
                "From a GRE packet of this direction to its acknowledgement by the other end, sampled where the agent watches: for from_server network and client, for from_client this host.",
            )?,
        })
    }

    /// Adds what the counters of a call have more than before.
    pub(super) fn count(&self, counted: &mut Counted, now: [Option<&Counters>; DIRECTIONS.len()]) {
        for (index, (before, now)) in counted.iter_mut().zip(now).enumerate() {
            let Some(now) = now else { continue };
            // What was lost once stays counted as lost; that it came late is counted too.
            let ever_lost = |counters: &Counters| counters.lost + counters.late;
            let (trips_before, trips) = (before.ack_rtt.unwrap_or_default(), now.ack_rtt.unwrap_or_default());
            let pairs = [
                (&self.packets, before.packets, now.packets),
                (&self.bytes, before.bytes, now.bytes),
                (&self.ack_only, before.ack_only, now.ack_only),
                (&self.lost, ever_lost(before), ever_lost(now)),
                (&self.late, before.late, now.late),
                (&self.reordered, before.reordered, now.reordered),
                (&self.duplicate, before.duplicate, now.duplicate),
                (&self.fragments, before.fragments, now.fragments),
                (&self.ack_timeouts, trips_before.timeouts, trips.timeouts),
            ];
            for (counter, before, now) in pairs {
                counter.with_label_values(&[DIRECTIONS[index]]).inc_by(now.saturating_sub(before));
            }
            self.round_trips.add(index, &trips_before, &trips);
            *before = *now;
        }
    }

    /// A call is over, and these are its last counters.
    pub(super) fn end(&self, last: [Option<&Counters>; DIRECTIONS.len()]) {
        for (direction, last) in DIRECTIONS.into_iter().zip(last) {
            let Some(last) = last else { continue };
            let shares = [
                // What is still missing at the end does not come any more.
                (&self.lost_share, last.lost + last.missing, last.received + last.lost + last.missing),
                (&self.reordered_share, last.reordered, last.received),
                (&self.duplicate_share, last.duplicate, last.received + last.duplicate),
            ];
            // Without a sequence number there is nothing to say.
            for (histogram, part, whole) in shares.into_iter().filter(|(_, _, whole)| *whole > 0) {
                histogram.with_label_values(&[direction]).observe(part as f64 / whole as f64);
            }
        }
    }
}
