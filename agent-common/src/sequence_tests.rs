//! The accounting against a model that remembers every number.
extern crate std;

use std::collections::HashSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Sequence, WINDOW};

/// The definitions, word for word, over 64-bit numbers that never wrap.
#[derive(Default)]
struct Model {
    seen: HashSet<i64>,
    highest: i64,
    first: i64,
    reordered: u64,
    late: u64,
    duplicate: u64,
    foreign: u64,
}

impl Model {
    fn record(&mut self, number: i64) {
        if self.seen.is_empty() {
            (self.first, self.highest) = (number, number);
            self.seen.insert(number);
            return;
        }
        let in_window = number > self.highest - i64::from(WINDOW);
        if !in_window && number < self.first {
            self.foreign += 1;
            self.late += 1;
        } else if !self.seen.insert(number) {
            self.duplicate += 1;
        } else if number < self.highest {
            self.reordered += 1;
            self.late += u64::from(!in_window);
        }
        if in_window {
            self.first = self.first.min(number);
        }
        self.highest = self.highest.max(number);
    }

    fn undecided(&self) -> u64 {
        let from = (self.highest - i64::from(WINDOW) + 1).max(self.first);
        (from..=self.highest).filter(|n| !self.seen.contains(n)).count() as u64
    }

    fn lost(&self) -> u64 {
        (self.highest - self.first + 1) as u64 - self.seen.len() as u64 - self.undecided()
    }
}

fn compare(start: u32, offsets: &[i64]) -> Result<(), TestCaseError> {
    let (mut model, mut sequence) = (Model::default(), Sequence::default());
    for &offset in offsets {
        model.record(offset);
        sequence.record(start.wrapping_add(offset as u32));
    }
    prop_assert_eq!(sequence.received, model.seen.len() as u64);
    prop_assert_eq!(sequence.lost, model.lost());
    prop_assert_eq!(u64::from(sequence.missing()), model.undecided());
    prop_assert_eq!(sequence.reordered, model.reordered);
    prop_assert_eq!(sequence.late, model.late);
    prop_assert_eq!(sequence.duplicate, model.duplicate);
    prop_assert_eq!(sequence.highest, start.wrapping_add(model.highest as u32));
    prop_assert_eq!(sequence.first, start.wrapping_add(model.first as u32));
    let expected = u64::from(sequence.highest.wrapping_sub(sequence.first)) + 1;
    prop_assert_eq!(expected, sequence.received + sequence.lost + u64::from(sequence.missing()));
    Ok(())
}

/// Walks that go forward with gaps and back by up to `back`, without copies older than the window
/// (a copy that old cannot be told from a late packet; the definitions exclude it).
fn walk(back: i64) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec((-back..8i64, 0..100u8), 1..600).prop_map(|steps| {
        let (mut highest, mut seen, mut out) = (0i64, HashSet::new(), Vec::new());
        for (step, dice) in steps {
            let jump = if dice == 0 { 150 } else { step };
            let number = highest + jump;
            let old = number <= highest - i64::from(WINDOW);
            if seen.insert(number) || !old {
                out.push(number);
            }
            highest = highest.max(number);
        }
        out
    })
}

proptest! {
    #[test]
    fn agrees_with_the_model_within_the_window(start: u32, offsets in walk(60)) {
        compare(start, &offsets)?;
    }

    #[test]
    fn agrees_with_the_model_beyond_the_window(start: u32, offsets in walk(200)) {
        compare(start, &offsets)?;
    }

    #[test]
    fn never_overflows_on_any_numbers(numbers in prop::collection::vec(any::<u32>(), 0..200)) {
        let mut sequence = Sequence::default();
        for number in numbers {
            sequence.record(number);
        }
    }
}

#[test]
fn counts_across_the_wrap() {
    let mut sequence = Sequence::default();
    for number in [u32::MAX - 1, u32::MAX, 1, 0, 0] {
        sequence.record(number);
    }
    assert_eq!((sequence.received, sequence.reordered, sequence.duplicate), (4, 1, 1));
    assert_eq!((sequence.lost, sequence.missing()), (0, 0));
}

#[test]
fn a_gap_is_lost_only_when_it_leaves_the_window() {
    let mut sequence = Sequence::default();
    sequence.record(0);
    for number in 2..=64 {
        sequence.record(number);
        assert_eq!((sequence.lost, sequence.missing()), (0, 1));
    }
    sequence.record(65);
    assert_eq!((sequence.lost, sequence.missing()), (1, 0));
    sequence.record(1);
    assert_eq!((sequence.lost, sequence.late, sequence.reordered), (0, 1, 1));
}
