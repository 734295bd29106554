//! Sequence accounting with the set of all numbers of a direction: what DESIGN chapter 4 defines,
//! computed in the plainest way, with unbounded memory.

use std::collections::HashSet;

use serde::Serialize;

/// A gap older than this many numbers is a loss.
const WINDOW: i64 = 64;

/// Books of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Packets with a sequence number, duplicates excluded.
    pub received: u64,
    /// Numbers not seen that are older than the window.
    pub lost: u64,
    /// Numbers not seen inside the window.
    pub missing: u64,
    /// First arrivals with a number below the highest seen so far.
    pub reordered: u64,
    /// First arrivals older than the window.
    pub late: u64,
    /// Numbers already seen.
    pub duplicate: u64,
}

/// The set of numbers of one direction. Numbers are unwrapped: the first one is 0.
#[derive(Debug, Default)]
pub struct Model {
    seen: HashSet<i64>,
    start: Option<u32>,
    first: i64,
    highest: i64,
    /// Copies older than the window that were taken for late arrivals: whoever has only a window
    /// cannot tell them apart while losses are open, so the definition counts them as late.
    mistaken: u64,
    reordered: u64,
    late: u64,
    duplicate: u64,
}

impl Model {
    /// Books the packet with sequence number `number`.
    pub fn record(&mut self, number: u32) {
        let Some(start) = self.start else {
            self.start = Some(number);
            self.seen.insert(0);
            return;
        };
        let highest = start.wrapping_add(self.highest as u32);
        let ahead = i64::from(number.wrapping_sub(highest));
        let unwrapped = if ahead < 1 << 31 { self.highest + ahead } else { self.highest + ahead - (1 << 32) };
        if unwrapped > self.highest {
            self.highest = unwrapped;
            self.seen.insert(unwrapped);
        } else if self.highest - unwrapped < WINDOW {
            if self.seen.insert(unwrapped) {
                self.reordered += 1;
                self.first = self.first.min(unwrapped);
            } else {
                self.duplicate += 1;
            }
        } else if unwrapped < self.first {
            // Nobody expected it: neither received nor a loss taken back.
            self.late += 1;
        } else if self.lost() == 0 {
            // Nothing is missing, so it can only be a copy.
            self.duplicate += 1;
        } else {
            if !self.seen.insert(unwrapped) {
                self.mistaken += 1;
            }
            self.reordered += 1;
            self.late += 1;
        }
    }

    fn missing(&self) -> u64 {
        let oldest = self.first.max(self.highest - WINDOW + 1);
        (oldest..=self.highest).filter(|number| !self.seen.contains(number)).count() as u64
    }

    fn received(&self) -> u64 {
        self.seen.len() as u64 + self.mistaken
    }

    fn lost(&self) -> u64 {
        let expected = (self.highest - self.first).cast_unsigned() + 1;
        expected - self.received() - self.missing()
    }

    /// What the numbers recorded so far amount to.
    pub fn books(&self) -> Books {
        if self.start.is_none() {
            return Books::default();
        }
        Books {
            received: self.received(),
            lost: self.lost(),
            missing: self.missing(),
            reordered: self.reordered,
            late: self.late,
            duplicate: self.duplicate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(numbers: impl IntoIterator<Item = u32>) -> Books {
        let mut model = Model::default();
        for number in numbers {
            model.record(number);
        }
        model.books()
    }

    #[test]
    fn nothing_and_one() {
        assert_eq!(books([]), Books::default());
        assert_eq!(books([9]), Books { received: 1, ..Books::default() });
    }

    #[test]
    fn a_gap_is_missing_first_and_lost_when_the_window_has_passed() {
        assert_eq!(books([1, 3]), Books { received: 2, missing: 1, ..Books::default() });
        assert_eq!(books([1].into_iter().chain(3..=65)).missing, 1);
        assert_eq!(books([1].into_iter().chain(3..=66)), Books { received: 65, lost: 1, ..Books::default() });
    }

    #[test]
    fn reordered_duplicate_and_late() {
        assert_eq!(books([1, 3, 2]), Books { received: 3, reordered: 1, ..Books::default() });
        assert_eq!(books([1, 2, 2, 1]), Books { received: 2, duplicate: 2, ..Books::default() });
        let late = [1].into_iter().chain(3..=100).chain([2]);
        assert_eq!(books(late), Books { received: 100, reordered: 1, late: 1, ..Books::default() });
    }

    #[test]
    fn a_stream_that_begins_reordered_started_lower() {
        assert_eq!(books([5, 3]), Books { received: 2, missing: 1, reordered: 1, ..Books::default() });
        let ancient = [100].into_iter().chain(101..=200).chain([50]);
        assert_eq!(books(ancient), Books { received: 101, late: 1, ..Books::default() });
    }

    #[test]
    fn wraps() {
        let wrapped = [u32::MAX - 1, 0, u32::MAX, 2];
        assert_eq!(books(wrapped), Books { received: 4, missing: 1, reordered: 1, ..Books::default() });
    }

    #[test]
    fn old_copies() {
        assert_eq!(books((1..=100).chain([1])), Books { received: 100, duplicate: 1, ..Books::default() });
        let mistaken = [1].into_iter().chain(3..=100).chain([1]);
        assert_eq!(books(mistaken), Books { received: 100, reordered: 1, late: 1, ..Books::default() });
    }

    #[test]
    fn a_jump_over_the_window() {
        assert_eq!(books([1, 1001]), Books { received: 2, missing: 63, lost: 936, ..Books::default() });
    }
}
