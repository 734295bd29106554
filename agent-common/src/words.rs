//! A flow as a list of numbers, for who keeps many flows and packs those that are idle.

use crate::{Awaited, Flow, Lengths, Mppe, RoundTrips, Sequence};

impl Flow {
    /// Shows every number of the flow to `visit`, which may change it, in an order that is always the same.
    /// A number of fewer than 64 bits takes over the lowest ones.
    pub fn visit(&mut self, mut visit: impl FnMut(&mut u64)) {
        // Named without exception: who adds a field is told to show it here.
        let Self {
            packets,
            bytes,
            last_ns,
            acks,
            sampled_ns,
            awaited: Awaited { since_ns, number, _pad: _ },
            sequence: Sequence { received, lost, reordered, late, duplicate, window, first, highest },
            last_ack,
            peer,
            cleartext,
            lengths: Lengths { counts },
            mppe:
                Mppe {
                    frames,
                    unencrypted,
                    flushed,
                    gaps,
                    skipped,
                    behind,
                    flags,
                    first: first_count,
                    last: last_count,
                    _pad: _,
                },
            ack_only,
            fragments,
            negotiation,
            first_ns,
            ifindex,
            outstanding,
            round_trips: RoundTrips { min_ns, max_ns, sum_ns, timeouts, histogram },
            _pad: _,
        } = self;
        let times = [first_ns, last_ns, sampled_ns, since_ns];
        let sums = [packets, bytes, acks, received, window, negotiation];
        let mppe = [frames, flushed, unencrypted, gaps, skipped, flags, behind];
        let trips = [min_ns, max_ns, sum_ns, timeouts];
        let faults = [lost, reordered, late, duplicate, cleartext, ack_only, fragments];
        let words = times.into_iter().chain(sums).chain(mppe).chain(trips).chain(faults);
        words.chain(counts).chain(histogram).for_each(&mut visit);
        for half in [ifindex, outstanding, first, highest, last_ack, number, peer] {
            let mut word = u64::from(*half);
            visit(&mut word);
            *half = word as u32;
        }
        for quarter in [first_count, last_count] {
            let mut word = u64::from(*quarter);
            visit(&mut word);
            *quarter = word as u16;
        }
    }
}
