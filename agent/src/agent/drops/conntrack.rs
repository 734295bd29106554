//! What connection tracking refused: its packets end where those end that a rule drops.

use std::fs;

/// The kernel's count, and what of it was found among the dropped packets.
#[derive(Debug)]
pub(super) struct Conntrack {
    /// At the last look.
    known: u64,
    /// Refused since the last look, and not found yet.
    new: u64,
    /// Between the two looks before. Older ones were packets of nobody's call.
    old: u64,
}

impl Default for Conntrack {
    /// What it refused until now is not the agent's business.
    fn default() -> Self {
        Self { known: refusals(), new: 0, old: 0 }
    }
}

impl Conntrack {
    /// Takes the kernel's count, once after each look at the dropped packets. Unless all those of the last
    /// look were `taken`, nothing gets old.
    pub(super) fn look(&mut self, taken: bool) {
        self.count(refusals(), taken);
    }

    fn count(&mut self, refused: u64, taken: bool) {
        if taken {
            self.old = std::mem::take(&mut self.new);
        }
        self.new += refused.saturating_sub(self.known);
        self.known = refused;
    }

    /// How many of `count` dropped packets were refused by it.
    pub(super) fn take(&mut self, count: u64) -> u64 {
        let old = self.old.min(count);
        let new = self.new.min(count - old);
        self.old -= old;
        self.new -= new;
        old + new
    }
}

/// Packets for which this network namespace had no room, since it is there; zero where nothing is tracked.
fn refusals() -> u64 {
    fs::read_to_string("/proc/net/stat/nf_conntrack").map_or(0, |text| sum(&text))
}

/// The sum of the column `drop` of all processors.
fn sum(text: &str) -> u64 {
    let mut lines = text.lines();
    let names = lines.next().unwrap_or_default().split_whitespace().position(|name| name == "drop");
    let Some(column) = names else { return 0 };
    lines
        .filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_refused_long_ago_excuses_nothing() {
        let mut conntrack = Conntrack { known: 100, new: 0, old: 0 };
        conntrack.count(107, true);
        assert_eq!((conntrack.take(5), conntrack.take(5)), (5, 2));
        // Counted before the look, seen among the packets after it.
        conntrack.count(110, true);
        conntrack.count(110, true);
        assert_eq!(conntrack.take(2), 2);
        conntrack.count(110, true);
        assert_eq!(conntrack.take(9), 0);
    }

    #[test]
    fn nothing_gets_old_while_no_packet_is_taken() {
        let mut conntrack = Conntrack { known: 0, new: 0, old: 0 };
        for refused in 1..=5 {
            conntrack.count(refused, false);
        }
        assert_eq!(conntrack.take(9), 5);
    }

    #[test]
    fn sums_the_processors() {
        let text = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop\n\
                    00000002  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0000000a 00000000\n\
                    00000002  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001 00000000\n";
        assert_eq!((sum(text), sum(""), sum("drop\nzz\n")), (11, 0, 0));
    }
}
