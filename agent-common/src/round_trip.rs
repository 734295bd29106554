//! Round trips: the time from a packet with sequence number n to the first packet of the other
//! direction that acknowledges n or a later one (RFC 2637, section 4.4). One sample in flight for each
//! direction of a call.
//!
//! A sample waits in the entry of the direction that will *end* it, so that its packets need no
//! look at another entry while none is awaited. The entry of the direction that *began* it knows
//! since when, so that its packets need none while one is.
//!
//! The kernel programs and the reader of captures run this very code.

/// A sample that is not answered within this time is a timeout: nanoseconds. As long as an LCP
/// restart interval (RFC 1661, section 4.6); no path of the Internet takes that long.
pub const ACK_TIMEOUT_NS: u64 = 3_000_000_000;

/// Buckets of [`RoundTrips::histogram`].
pub const ROUND_TRIP_BUCKETS: usize = 19;

/// Times below 2 to this power, in nanoseconds (16.4 µs), are all in the first bucket.
pub const ROUND_TRIP_FIRST_BITS: u32 = 14;

/// A packet whose acknowledgement is awaited.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Awaited {
    /// When it was sent, nanoseconds of the clock that counts the packets. Zero: none is awaited.
    pub(crate) since_ns: u64,
    /// Its sequence number.
    pub(crate) number: u32,
    /// Always zero.
    pub(crate) _pad: u32,
}

const _: () = assert!(size_of::<Awaited>() == 16);

impl Awaited {
    /// Whether an acknowledgement of `ack` answers it.
    #[inline(always)]
    pub const fn is_answered_by(&self, ack: u32) -> bool {
        self.since_ns != 0 && ack.wrapping_sub(self.number) < 1 << 31
    }

    /// Begins to wait; returns whether a packet was awaited before, in vain.
    ///
    /// The number is written before the time that makes it valid: on another CPU the other
    /// direction may be looking.
    #[inline(always)]
    pub fn begin(&mut self, number: u32, now_ns: u64) -> bool {
        let in_vain = self.since_ns != 0;
        // SAFETY: a mutable reference is valid for writes.
        unsafe {
            core::ptr::addr_of_mut!(self.number).write_volatile(number);
            core::ptr::addr_of_mut!(self.since_ns).write_volatile(now_ns);
        }
        in_vain
    }

    /// Ends the wait; returns how long it was.
    #[inline(always)]
    pub const fn end(&mut self, now_ns: u64) -> u64 {
        let since = self.since_ns;
        self.since_ns = 0;
        now_ns.saturating_sub(since)
    }
}

/// What the round trips of one direction's acknowledgements add up to. They are the round trips of
/// packets that the *other* direction sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct RoundTrips {
    /// Shortest; zero before the first.
    pub min_ns: u64,
    /// Longest.
    pub max_ns: u64,
    /// Sum.
    pub sum_ns: u64,
    /// Samples that were not answered within [`ACK_TIMEOUT_NS`]. Such a sample is given up, and
    /// counted, when the next packet is sent or the answer comes after all.
    pub timeouts: u64,
    /// Samples by duration: below 2^14 ns, then a bucket for each further power of two, the last one
    /// from 2^31 ns on.
    pub histogram: [u64; ROUND_TRIP_BUCKETS],
}

const _: () = assert!(size_of::<RoundTrips>() == 32 + 8 * ROUND_TRIP_BUCKETS);

impl RoundTrips {
    /// Books the end of a sample that took `duration_ns`.
    #[inline(always)]
    pub fn record(&mut self, duration_ns: u64) {
        if duration_ns > ACK_TIMEOUT_NS {
            self.timeouts += 1;
            return;
        }
        if self.min_ns == 0 || duration_ns < self.min_ns {
            self.min_ns = duration_ns;
        }
        if duration_ns > self.max_ns {
            self.max_ns = duration_ns;
        }
        self.sum_ns += duration_ns;
        if let Some(count) = self.histogram.get_mut(bucket(duration_ns)) {
            *count += 1;
        }
    }

    /// How many samples ended in time.
    pub fn samples(&self) -> u64 {
        self.histogram.iter().sum()
    }
}

/// The bucket of a duration of at most [`ACK_TIMEOUT_NS`], which 32 bits hold.
///
/// The position of the highest bit by halving: eBPF has no instruction for it. Without a branch, so that the
/// verifier has one way to follow instead of one for each bucket.
#[inline(always)]
const fn bucket(duration_ns: u64) -> usize {
    let mut rest = (duration_ns as u32 >> (ROUND_TRIP_FIRST_BITS - 1)) as u64;
    let mut bucket = 0;
    let mut bits = 16;
    while bits > 0 {
        // The sign of the difference: 1 when `rest` has more than `bits` bits.
        let shift = ((1 << bits) - 1u64).wrapping_sub(rest) >> 63;
        bucket += shift * bits;
        rest >>= shift * bits;
        bits /= 2;
    }
    bucket as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two() {
        let edge = |bits: u32| 1u64 << bits;
        assert_eq!((bucket(0), bucket(1), bucket(edge(14) - 1)), (0, 0, 0));
        for bits in ROUND_TRIP_FIRST_BITS..32 {
            let expected = (bits - ROUND_TRIP_FIRST_BITS + 1) as usize;
            assert_eq!((bucket(edge(bits)), bucket(edge(bits + 1) - 1)), (expected, expected), "{bits}");
        }
        assert_eq!(bucket(ACK_TIMEOUT_NS), ROUND_TRIP_BUCKETS - 1);
    }

    #[test]
    fn a_sample_is_answered_by_its_number_and_later_ones() {
        let mut awaited = Awaited::default();
        assert!(!awaited.is_answered_by(0));
        assert!(!awaited.begin(u32::MAX, 1000));
        assert!(!awaited.is_answered_by(u32::MAX - 1));
        assert!(awaited.is_answered_by(u32::MAX) && awaited.is_answered_by(5));
        assert!(awaited.begin(7, 2000), "the first one was never answered");
        assert_eq!(awaited.end(2500), 500);
        assert!(!awaited.is_answered_by(7));
    }

    #[test]
    fn sums_and_timeouts() {
        let mut trips = RoundTrips::default();
        for duration in [70_000, 20_000, 1_000_000, ACK_TIMEOUT_NS, ACK_TIMEOUT_NS + 1] {
            trips.record(duration);
        }
        assert_eq!((trips.min_ns, trips.max_ns, trips.timeouts), (20_000, ACK_TIMEOUT_NS, 1));
        assert_eq!((trips.samples(), trips.sum_ns), (4, 1_090_000 + ACK_TIMEOUT_NS));
        assert_eq!((trips.histogram[1], trips.histogram[3], trips.histogram[6]), (1, 1, 1));
    }
}
