//! Sequence accounting of one direction of one call, over the GRE sequence numbers seen on the
//! wire (RFC 2637, section 4.1: 32 bits, one per packet with payload, wrapping).
//!
//! The kernel programs and the reader of captures run this very code, so that they agree to the
//! last packet. It has no loop and no division: the verifier reads it once.

/// Width of the window in sequence numbers: the newest one and the 63 before it.
///
/// A gap that leaves the window is counted as lost.
pub const WINDOW: u32 = u64::BITS;

/// Counters and window of one direction of one call.
///
/// At any time `highest - first + 1 == received + lost + missing()`, unless nothing was seen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Sequence {
    /// Packets with a sequence number, duplicates excluded.
    pub received: u64,
    /// Numbers that left the window without having been seen, less those that came late.
    pub lost: u64,
    /// First arrivals with a number below the highest one (the late ones among them).
    pub reordered: u64,
    /// First arrivals older than the window: each takes one loss back.
    pub late: u64,
    /// Numbers already seen inside the window.
    pub duplicate: u64,
    /// Bit `i` is set when `highest - i` was seen.
    pub(crate) window: u64,
    /// Lowest number that is expected.
    pub first: u32,
    /// Highest number seen, in serial arithmetic (RFC 1982).
    pub highest: u32,
}

const _: () = assert!(size_of::<Sequence>() == 56);

impl Sequence {
    /// Whether a sequence number was seen at all. Bit 0 stands for `highest`, so it is set from the
    /// first packet on.
    #[inline(always)]
    pub const fn is_started(&self) -> bool {
        self.window & 1 == 1
    }

    /// Books one packet that carries sequence number `number`. Returns whether it is the newest so far.
    #[inline(always)]
    pub const fn record(&mut self, number: u32) -> bool {
        if !self.is_started() {
            self.received = 1;
            self.window = 1;
            self.first = number;
            self.highest = number;
            return true;
        }
        let ahead = number.wrapping_sub(self.highest);
        // The next one, and nothing is missing: what follows would do the same, slower.
        if ahead == 1 && self.window == u64::MAX {
            self.received += 1;
            self.highest = number;
            return true;
        }
        if ahead != 0 && ahead < 1 << 31 {
            self.advance(ahead);
            self.received += 1;
            true
        } else {
            self.record_behind(self.highest.wrapping_sub(number));
            false
        }
    }

    /// Moves the window up by `ahead` (1 or more) and marks the new highest number as seen.
    #[inline(always)]
    const fn advance(&mut self, ahead: u32) {
        let leaving = if ahead < WINDOW {
            // Never a shift by 64: `ahead` is 1 to 63 here.
            !(u64::MAX >> ahead)
        } else {
            u64::MAX
        };
        let gone = leaving & self.unseen();
        if gone != 0 {
            self.lost += gone.count_ones() as u64;
        }
        if ahead > WINDOW {
            // These numbers passed the window at once.
            self.lost += (ahead - WINDOW) as u64;
        }
        self.window = if ahead < WINDOW { self.window << ahead } else { 0 } | 1;
        self.highest = self.highest.wrapping_add(ahead);
    }

    /// Books the number `behind` (0 or more) below the highest one.
    #[inline(always)]
    const fn record_behind(&mut self, behind: u32) {
        if behind < WINDOW {
            let bit = 1u64 << behind;
            if self.window & bit != 0 {
                self.duplicate += 1;
                return;
            }
            self.window |= bit;
            self.received += 1;
            self.reordered += 1;
            // The stream began with a reordered packet: it started lower than the first we saw.
            if behind > self.span() {
                self.first = self.highest.wrapping_sub(behind);
            }
        } else if behind > self.span() {
            // From before the first packet that we saw: nobody expected it.
            self.late += 1;
        } else if self.lost > 0 {
            self.lost -= 1;
            self.received += 1;
            self.reordered += 1;
            self.late += 1;
        } else {
            // Nothing is missing, so it can only be a copy.
            self.duplicate += 1;
        }
    }

    /// Numbers inside the window that have not been seen yet: neither received nor lost.
    #[inline(always)]
    pub const fn missing(&self) -> u32 {
        if self.is_started() { self.unseen().count_ones() } else { 0 }
    }

    /// `highest - first`.
    #[inline(always)]
    const fn span(&self) -> u32 {
        self.highest.wrapping_sub(self.first)
    }

    /// Bits of the expected numbers inside the window that were not seen.
    #[inline(always)]
    const fn unseen(&self) -> u64 {
        let expected = if self.span() < WINDOW - 1 { (1u64 << (self.span() + 1)) - 1 } else { u64::MAX };
        !self.window & expected
    }
}

#[cfg(test)]
#[path = "sequence_tests.rs"]
mod tests;
