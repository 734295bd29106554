//! Copies that the network makes of negotiation frames.

use crate::packed::Packed;

/// GRE sequence numbers of negotiation frames remembered for each end.
const RECENT: usize = 16;

/// The last frames of one end.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    /// Each and one, the newest first; zeros where there are fewer.
    recent: Packed,
}

impl Copies {
    /// Whether this number was seen lately.
    pub(super) fn is_copy(&mut self, gre_sequence: u32) -> bool {
        let mut recent: [u64; RECENT] = self.recent.words().take_all();
        let newest = u64::from(gre_sequence) + 1;
        if recent.contains(&newest) {
            return true;
        }
        recent.rotate_right(1);
        if let Some(first) = recent.first_mut() {
            *first = newest;
        }
        self.recent = Packed::of(&recent);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn knows_copies_among_the_recent_ones() {
        let mut copies = Copies::default();
        assert!(!copies.is_copy(7));
        assert!(copies.is_copy(7));
        for number in 100..100 + RECENT as u32 {
            assert!(!copies.is_copy(number));
        }
        assert!(!copies.is_copy(7));
    }

    #[test]
    fn remembers_the_last_ones_and_no_more() {
        let (mut copies, mut plain) = (Copies::default(), VecDeque::new());
        let mut state = 1u64;
        for _ in 0..5000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 40) as u32 % 40 * (u32::MAX / 39);
            let is_copy = plain.contains(&number);
            assert_eq!(copies.is_copy(number), is_copy);
            if !is_copy {
                plain.push_back(number);
                if plain.len() > RECENT {
                    plain.pop_front();
                }
            }
        }
    }
}
