//! Two independent computations of DESIGN chapter 4 agree: the kernel's window of 64 bits and the
//! judge's set of all numbers.

use pptpscope_common::Sequence;
use pptpscope_tests::model::{Books, Model};
use proptest::prelude::*;

fn window(numbers: &[u32]) -> Books {
    let mut sequence = Sequence::default();
    for &number in numbers {
        sequence.record(number);
    }
    Books {
        received: sequence.received,
        lost: sequence.lost,
        missing: sequence.missing().into(),
        reordered: sequence.reordered,
        late: sequence.late,
        duplicate: sequence.duplicate,
    }
}

fn set(numbers: &[u32]) -> Books {
    let mut model = Model::default();
    for &number in numbers {
        model.record(number);
    }
    model.books()
}

proptest! {
    /// Streams that lose, delay and copy, from anywhere in the number space.
    #[test]
    fn streams(
        start in any::<u32>(),
        steps in prop::collection::vec((0u32..4, 0u32..200, 0u32..20), 1..600),
    ) {
        let mut next = start;
        let mut numbers = Vec::new();
        for (kind, back, rare) in steps {
            match (kind, rare) {
                (0, 0) => next = next.wrapping_add(back),
                (1, 0..4) => numbers.push(next.wrapping_sub(back)),
                (2, 0..2) => numbers.push(next.wrapping_sub(1)),
                _ => {
                    numbers.push(next);
                    next = next.wrapping_add(1);
                }
            }
        }
        prop_assert_eq!(window(&numbers), set(&numbers));
    }

    /// Any numbers at all, within reach of each other.
    #[test]
    fn anything(start in any::<u32>(), offsets in prop::collection::vec(0u32..300, 1..200)) {
        let numbers: Vec<u32> = offsets.iter().map(|offset| start.wrapping_add(*offset)).collect();
        prop_assert_eq!(window(&numbers), set(&numbers));
    }
}
