//! A rate limit that needs one number: the generic cell rate algorithm (ITU-T I.371), a token bucket
//! told by the time at which it will be full again.

/// Rate and burst of a [`Limiter`].
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Time in which one is allowed, nanoseconds.
    pub interval_ns: u64,
    /// How many at once, after a pause.
    pub burst: u64,
}

impl Limit {
    /// Segments of port 1723 from and to one remote address: a client needs some 30 for a call and 4 a
    /// minute after that, and a hundred clients behind one address may all call at once.
    pub const CONTROL: Self = Self { interval_ns: 1_000_000_000 / 64, burst: 4096 };
    /// ICMP errors from and to one remote address.
    pub const ICMP: Self = Self { interval_ns: 1_000_000_000 / 8, burst: 64 };
    /// Addresses that nobody knows yet, per CPU.
    pub const NEWCOMERS: Self = Self { interval_ns: 1_000_000_000 / 512, burst: 4096 };
}

/// State of one limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limiter {
    /// When the whole burst is available again, nanoseconds.
    full_ns: u64,
}

impl Limiter {
    /// Whether one more is allowed at `now_ns`; takes it then.
    #[inline(always)]
    pub const fn take(&mut self, limit: Limit, now_ns: u64) -> bool {
        let full_ns = if self.full_ns > now_ns { self.full_ns } else { now_ns };
        if full_ns - now_ns > limit.interval_ns * (limit.burst - 1) {
            return false;
        }
        self.full_ns = full_ns + limit.interval_ns;
        true
    }
}

/// A remote address, and what it sends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey {
    /// IPv4 address, network byte order.
    pub address: [u8; 4],
    /// A [`crate::Kind`].
    pub kind: u32,
}

const _: () = assert!(size_of::<SourceKey>() == 8);

/// What is kept of a remote address that speaks to port 1723 or sends ICMP errors.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Its limit.
    pub limiter: Limiter,
    /// Packets over the limit: no record.
    pub limited: u64,
}

const _: () = assert!(size_of::<Source>() == 16);

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no padding (size asserted).
unsafe impl aya::Pod for SourceKey {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Source {}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { interval_ns: 100, burst: 5 };

    #[test]
    fn a_burst_then_the_rate() {
        let mut limiter = Limiter::default();
        let taken = (0..10).filter(|_| limiter.take(LIMIT, 1_000_000)).count();
        assert_eq!(taken, 5);
        // Ten times the rate for a hundred intervals: the rate passes.
        let taken = (1..=1000).filter(|step| limiter.take(LIMIT, 1_000_000 + step * 10)).count();
        assert_eq!(taken, 100);
        // And after a long pause the burst again, no more.
        let taken = (0..10).filter(|_| limiter.take(LIMIT, 9_000_000)).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn the_clock_may_begin_at_zero_and_jump() {
        let mut limiter = Limiter::default();
        assert!(limiter.take(LIMIT, 0));
        assert!(limiter.take(LIMIT, u64::MAX / 2));
    }
}
