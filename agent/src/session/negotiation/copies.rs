//! Copies that the network makes of negotiation frames.

use std::collections::VecDeque;

/// GRE sequence numbers of negotiation frames remembered for each end.
const RECENT: usize = 16;

/// The last frames of one end.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    recent: VecDeque<u32>,
}

impl Copies {
    /// Whether this number was seen lately.
    pub(super) fn is_copy(&mut self, gre_sequence: u32) -> bool {
        if self.recent.contains(&gre_sequence) {
            return true;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(gre_sequence);
        false
    }
}

#[cfg(test)]
mod tests {
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
}
