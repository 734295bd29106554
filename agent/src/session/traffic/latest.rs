//! The counters of a call between two looks at them. Most are zero, and they are read seldom: packed they
//! take a fifth of the room.

use pptpscope_common::{LENGTH_BUCKETS, ROUND_TRIP_BUCKETS};

use crate::event::gre::{Counters, MppeCounters, RoundTrips};
use crate::event::{Party, PerParty};
use crate::packed::{Packed, Words, absent, present};

/// Words of a direction at most.
const MAX_WORDS: usize = 21 + LENGTH_BUCKETS + 10 + 6 + ROUND_TRIP_BUCKETS;

/// The latest counters of both directions.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest(Packed);

impl Latest {
    pub(super) fn set(&mut self, counters: &PerParty<Counters>) {
        let mut words = Vec::with_capacity(2 * MAX_WORDS);
        write(&counters.client, &mut words);
        write(&counters.server, &mut words);
        self.0 = Packed::of(&words);
    }

    pub(super) fn get(&self) -> PerParty<Counters> {
        let mut words = self.0.words();
        // In the order in which they were written.
        let client = read(&mut words);
        PerParty { client, server: read(&mut words) }
    }

    pub(super) fn of(&self, sender: Party) -> Counters {
        *self.get().of(sender)
    }
}

fn write(counters: &Counters, words: &mut Vec<u64>) {
    let Counters {
        packets,
        bytes,
        ack_only,
        received,
        lost,
        missing,
        reordered,
        late,
        duplicate,
        fragments,
        negotiation,
        first_sequence,
        highest_sequence,
        last_acknowledgement,
        payload_lengths,
        cleartext,
        mppe,
        ccp_reset_requests,
        ccp_reset_acks,
        ack_rtt,
        window,
        outstanding,
        outstanding_max,
    } = *counters;
    words.extend([packets, bytes, ack_only, received, lost, missing, reordered, late, duplicate, fragments]);
    words.extend([negotiation, cleartext, ccp_reset_requests, ccp_reset_acks]);
    words.extend([first_sequence, highest_sequence, last_acknowledgement].map(present));
    words.extend([window.map(u32::from), outstanding, outstanding_max].map(present));
    words.extend(payload_lengths);
    words.push(mppe.is_some().into());
    if let Some(mppe) = mppe {
        let MppeCounters {
            frames,
            unencrypted,
            flushed,
            gaps,
            skipped,
            behind,
            flags,
            first_count,
            last_count,
        } = mppe;
        words.extend([frames, unencrypted, flushed, gaps, skipped, behind, flags]);
        words.extend([first_count, last_count].map(u64::from));
    }
    words.push(ack_rtt.is_some().into());
    if let Some(RoundTrips { samples, timeouts, min_ns, max_ns, sum_ns, histogram }) = ack_rtt {
        words.extend([samples, timeouts, min_ns, max_ns, sum_ns]);
        words.extend(histogram);
    }
}

fn read(words: &mut Words<'_>) -> Counters {
    let [packets, bytes, ack_only, received, lost, missing, reordered, late, duplicate, fragments] =
        words.take_all();
    let [negotiation, cleartext, ccp_reset_requests, ccp_reset_acks] = words.take_all();
    let [first_sequence, highest_sequence, last_acknowledgement] = words.take_all().map(absent);
    let [window, outstanding, outstanding_max] = words.take_all().map(absent);
    let payload_lengths = words.take_all();
    let mppe = (words.take() != 0).then(|| {
        let [frames, unencrypted, flushed, gaps, skipped, behind, flags] = words.take_all();
        let [first_count, last_count] = words.take_all().map(|count| count as u16);
        MppeCounters { frames, unencrypted, flushed, gaps, skipped, behind, flags, first_count, last_count }
    });
    let ack_rtt = (words.take() != 0).then(|| {
        let [samples, timeouts, min_ns, max_ns, sum_ns] = words.take_all();
        RoundTrips { samples, timeouts, min_ns, max_ns, sum_ns, histogram: words.take_all() }
    });
    Counters {
        packets,
        bytes,
        ack_only,
        received,
        lost,
        missing,
        reordered,
        late,
        duplicate,
        fragments,
        negotiation,
        first_sequence,
        highest_sequence,
        last_acknowledgement,
        payload_lengths,
        cleartext,
        mppe,
        ccp_reset_requests,
        ccp_reset_acks,
        ack_rtt,
        window: window.map(|window| window as u16),
        outstanding,
        outstanding_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters that differ in every field; every `absent`-th one that may be absent is.
    fn counters(seed: u64, absent: u64) -> Counters {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> (state >> 58)
        };
        let mut some = 0;
        let mut is_there = || {
            some += 1;
            absent == 0 || some % absent != 0
        };
        Counters {
            packets: next(),
            bytes: next(),
            ack_only: next(),
            received: next(),
            lost: next(),
            missing: next(),
            reordered: next(),
            late: next(),
            duplicate: next(),
            fragments: next(),
            negotiation: next(),
            first_sequence: is_there().then_some(0),
            highest_sequence: is_there().then_some(u32::MAX),
            last_acknowledgement: is_there().then(|| next() as u32),
            payload_lengths: std::array::from_fn(|_| next()),
            cleartext: next(),
            mppe: is_there().then(|| MppeCounters {
                frames: next(),
                unencrypted: next(),
                flushed: next(),
                gaps: next(),
                skipped: next(),
                behind: next(),
                flags: next(),
                first_count: u16::MAX,
                last_count: next() as u16,
            }),
            ccp_reset_requests: next(),
            ccp_reset_acks: next(),
            ack_rtt: is_there().then(|| RoundTrips {
                samples: next(),
                timeouts: next(),
                min_ns: next(),
                max_ns: next(),
                sum_ns: next(),
                histogram: std::array::from_fn(|_| next()),
            }),
            window: is_there().then_some(u16::MAX),
            outstanding: is_there().then(|| next() as u32),
            outstanding_max: is_there().then(|| next() as u32),
        }
    }

    #[test]
    fn gives_back_what_was_set() {
        let mut latest = Latest::default();
        assert_eq!(latest.get(), PerParty::default());
        for seed in 0..500 {
            let both = PerParty { client: counters(seed, seed % 5), server: counters(!seed, seed % 3) };
            latest.set(&both);
            assert_eq!(latest.get(), both, "{seed}");
            assert_eq!(latest.of(Party::Server), both.server);
        }
    }
}
