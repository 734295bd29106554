//! One step of a call's way: from a place where packets are counted to the next one.

use std::time::Duration;

use crate::time::Timestamp;

/// Looks at the counters this far apart or more prove something: whatever entered before the one
/// has left, was lost, or is held up, before the other.
pub const SETTLE: Duration = Duration::from_millis(900);

/// The counters of a segment, read one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When the entry was read.
    pub entered_at: Timestamp,
    /// When the exit and the booked losses were read.
    pub left_at: Timestamp,
    /// Packets that entered.
    pub entered: u64,
    /// Packets that left.
    pub left: u64,
    /// Packets between the two whose loss has a name.
    pub booked: u64,
    /// Packets that whoever is in between may have discarded by right; their number is not known, but
    /// it is no higher.
    pub excused: u64,
}

impl Look {
    /// What entered and is not seen any more.
    const fn missing(&self) -> u64 {
        self.entered.saturating_sub(self.left).saturating_sub(self.booked)
    }

    /// What of the missing packets is excused.
    pub fn excused_missing(&self) -> u64 {
        self.missing().min(self.excused)
    }
}

/// What is missing, and what may only be under way.
///
/// The counters cannot be read at one instant, and packets take their time. So a difference proves
/// nothing by itself: but what had entered at an earlier look, and has neither left nor been booked
/// [`SETTLE`] later, is missing for certain. Under steady traffic newer packets hide such a loss until
/// the losses outnumber what enters between two looks; in a quiet moment the difference is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    before: Option<(Timestamp, u64)>,
    unaccounted: u64,
    in_transit: u64,
}

impl Segment {
    /// Takes one look.
    pub fn look(&mut self, look: &Look) {
        let missing = look.missing().saturating_sub(look.excused);
        let (at, entered) = *self.before.get_or_insert((look.entered_at, look.entered));
        if at + SETTLE <= look.left_at {
            let earlier = Look { entered, ..*look };
            let proven = earlier.missing().saturating_sub(look.excused);
            // When nothing has entered in between, nothing is hidden: packets that were only held up
            // have come by now, or will be seen to have.
            self.unaccounted = if entered == look.entered { missing } else { self.unaccounted.max(proven) };
            self.before = Some((look.entered_at, look.entered));
        }
        self.in_transit = missing.saturating_sub(self.unaccounted);
    }

    /// Packets that entered, did not leave, and whose loss nobody booked.
    pub const fn unaccounted(&self) -> u64 {
        self.unaccounted
    }

    /// Packets that may be missing too, or may only be under way.
    pub const fn in_transit(&self) -> u64 {
        self.in_transit
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ns(1_000_000_000_000 + ms * 1_000_000)
    }

    fn look(ms: u64, entered: u64, left: u64, booked: u64) -> Look {
        Look { entered_at: at(ms), left_at: at(ms), entered, left, booked, excused: 0 }
    }

    #[test]
    fn what_is_under_way_is_not_unaccounted() {
        let mut segment = Segment::default();
        segment.look(&look(0, 100, 95, 0));
        assert_eq!((segment.unaccounted(), segment.in_transit()), (0, 5));
        segment.look(&look(1000, 200, 196, 0));
        assert_eq!((segment.unaccounted(), segment.in_transit()), (0, 4));
        segment.look(&look(2000, 200, 200, 0));
        assert_eq!((segment.unaccounted(), segment.in_transit()), (0, 0));
    }

    #[test]
    fn what_neither_leaves_nor_is_booked_is_unaccounted() {
        let mut segment = Segment::default();
        segment.look(&look(0, 100, 90, 3));
        segment.look(&look(500, 100, 90, 3));
        assert_eq!(segment.unaccounted(), 0, "half a second proves nothing");
        segment.look(&look(1000, 100, 90, 3));
        assert_eq!((segment.unaccounted(), segment.in_transit()), (7, 0));
    }

    #[test]
    fn an_exit_that_was_read_long_ago_proves_nothing() {
        let mut segment = Segment::default();
        segment.look(&look(0, 100, 90, 0));
        segment.look(&Look { left_at: at(100), ..look(5000, 100, 90, 0) });
        assert_eq!((segment.unaccounted(), segment.in_transit()), (0, 10));
    }

    #[test]
    fn a_loss_that_gets_its_name_late_and_a_packet_that_was_held_up_are_taken_back() {
        let mut segment = Segment::default();
        segment.look(&look(0, 10, 0, 0));
        segment.look(&look(1000, 10, 0, 0));
        assert_eq!(segment.unaccounted(), 10);
        segment.look(&look(2000, 10, 4, 6));
        assert_eq!((segment.unaccounted(), segment.in_transit()), (0, 0));
    }

    #[test]
    fn more_losses_than_traffic_between_two_looks_show_under_way() {
        let mut segment = Segment::default();
        segment.look(&look(0, 1000, 1000, 0));
        for second in 1..=10 {
            segment.look(&look(second * 1000, 1000 + second * 100, 1000 + second * 70, 0));
        }
        assert_eq!(segment.unaccounted(), 200, "30 a second are lost, 100 may be under way");
    }

    #[test]
    fn excuses_explain_no_more_than_is_missing() {
        let held = Look { excused: 4, ..look(0, 10, 8, 0) };
        assert_eq!(held.excused_missing(), 2);
        let mut segment = Segment::default();
        segment.look(&Look { excused: 4, ..look(0, 20, 10, 0) });
        segment.look(&Look { excused: 4, ..look(1000, 20, 10, 0) });
        assert_eq!(segment.unaccounted(), 6);
    }

    /// One step of a made-up host: packets that come in, and how many of the oldest ones inside leave,
    /// are lost with a name, and are lost without.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64, u64, u64)>> {
        prop::collection::vec((0u64..40, 0u64..40, 0u64..4, 0u64..3), 1..60)
    }

    proptest! {
        /// Packets that take at most 900 ms: nothing is unaccounted that was not lost without a name,
        /// and in the end all of it is.
        #[test]
        fn never_more_than_was_lost_and_in_the_end_exactly_that(steps in steps(), reading in 0u64..3) {
            let mut segment = Segment::default();
            let (mut entered, mut left, mut booked, mut lost) = (0, 0, 0, 0);
            // When the packets inside came.
            let mut inside: VecDeque<u64> = VecDeque::new();
            let mut now = 0;
            for (come, go, named, unnamed) in steps {
                now += 300;
                // Whoever came two steps ago is at its end.
                let due = inside.iter().filter(|came| **came + 600 <= now).count() as u64;
                let take = |inside: &mut VecDeque<u64>, count: u64| {
                    let count = count.min(inside.len() as u64);
                    inside.drain(..count as usize).count() as u64
                };
                let (named, unnamed) = (take(&mut inside, named), take(&mut inside, unnamed));
                booked += named;
                lost += unnamed;
                let rest = due.saturating_sub(named + unnamed).max(go);
                let entered_first = entered;
                left += take(&mut inside, rest);
                entered += come;
                inside.extend(std::iter::repeat_n(now, come as usize));
                // The entry is read before or after the packets of this step came.
                let seen = if reading == 0 { entered_first } else { entered };
                segment.look(&look(now, seen, left, booked));
                prop_assert!(segment.unaccounted() <= lost, "{} of {lost}", segment.unaccounted());
            }
            left += inside.len() as u64;
            for _ in 0..3 {
                now += 1000;
                segment.look(&look(now, entered, left, booked));
            }
            prop_assert_eq!((segment.unaccounted(), segment.in_transit()), (lost, 0));
        }

        /// A healthy step never has anything unaccounted, however its packets are delayed below 900 ms
        /// and whatever moment the looks are taken at.
        #[test]
        fn healthy_is_zero(steps in prop::collection::vec((0u64..400, 0u64..1500), 1..80), delay in 0u64..800) {
            let mut segment = Segment::default();
            let mut came: Vec<u64> = Vec::new();
            let mut now = 0;
            for (packets, pause) in steps {
                came.extend((0..packets).map(|index| now + index * pause / packets.max(1)));
                now += pause;
                let entered = came.iter().filter(|at| **at <= now).count() as u64;
                let left = came.iter().filter(|at| **at + delay <= now).count() as u64;
                segment.look(&look(now, entered, left, 0));
                prop_assert_eq!(segment.unaccounted(), 0);
            }
        }
    }
}
