//! Where the flows of a capture are kept. Those that had a packet lately are as they are; of ten thousand calls
//! most are idle at any time, and theirs are packed into a quarter of the room.

use pptpscope_common::Flow;

use crate::event::Party;
use crate::observation::FlowKey;
use crate::packed::Packed;

/// One direction of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: FlowKey,
    /// Which end sends it, as far as one can tell.
    pub(super) sender: Party,
    pub(super) flow: Flow,
}

#[derive(Debug)]
struct Place {
    key: FlowKey,
    sender: Party,
    counts: Counts,
}

#[derive(Debug)]
enum Counts {
    /// With the number of its seat.
    Open(Box<Flow>, u32),
    Packed(Packed),
}

/// All flows, in the order in which they were met as long as none is taken out.
#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Place>,
    max_open: usize,
    /// Places of the flows that are open.
    seats: Vec<u32>,
    /// The seat that is given away next.
    next: usize,
}

impl Table {
    /// No flows. Of those to come, `max_open` are not packed; two at least.
    pub(super) const fn new(max_open: usize) -> Self {
        let max_open = if max_open < 2 { 2 } else { max_open };
        Self { places: Vec::new(), max_open, seats: Vec::new(), next: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.places.len()
    }

    /// A copy of the flow at `index`.
    pub(super) fn get(&self, index: usize) -> Option<Entry> {
        self.places.get(index).map(Place::entry)
    }

    /// Copies of all flows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.places.iter().map(Place::entry)
    }

    /// Adds a flow; returns its index.
    pub(super) fn push(&mut self, Entry { key, sender, flow }: Entry) -> usize {
        let index = self.places.len();
        if index == self.places.capacity() {
            // Twice as many would be mostly room: few captures have thousands.
            self.places.reserve_exact(index / 8 + 64);
        }
        self.places.push(Place { key, sender, counts: Counts::Packed(pack(&flow)) });
        index
    }

    /// Takes a flow out; returns the key of the one that has its index now.
    pub(super) fn swap_remove(&mut self, index: usize) -> Option<FlowKey> {
        if index >= self.places.len() {
            return None;
        }
        let removed = self.places.swap_remove(index);
        let moved = self.places.get(index);
        let key = moved.map(|moved| moved.key);
        if let Some(Place { counts: Counts::Open(_, seat), .. }) = moved
            && let Some(seat) = self.seats.get_mut(*seat as usize)
        {
            *seat = index as u32;
        }
        if let Counts::Open(_, seat) = removed.counts {
            self.leave(seat as usize);
        }
        key
    }

    /// The flow at `index`, to change.
    #[inline]
    pub(super) fn flow(&mut self, index: usize) -> Option<&mut Flow> {
        self.open(index, None);
        self.places.get_mut(index)?.flow()
    }

    /// The flow at `one` and, where there is one, another.
    pub(super) fn two(&mut self, one: usize, other: Option<usize>) -> Option<(&mut Flow, Option<&mut Flow>)> {
        self.open(one, None);
        match other.filter(|other| *other != one) {
            None => self.places.get_mut(one)?.flow().map(|flow| (flow, None)),
            Some(other) => {
                self.open(other, Some(one));
                let [one, other] = self.places.get_disjoint_mut([one, other]).ok()?;
                Some((one.flow()?, other.flow()))
            }
        }
    }

    /// Unpacks the flow at `index`. For that another one may be packed, but not that at `keep`.
    #[inline]
    fn open(&mut self, index: usize, keep: Option<usize>) {
        if self.places.get(index).is_some_and(|place| matches!(place.counts, Counts::Packed(_))) {
            self.unpack(index, keep);
        }
    }

    #[cold]
    fn unpack(&mut self, index: usize, keep: Option<usize>) {
        let (seat, room) = self.seat(index, keep);
        let Some(place) = self.places.get_mut(index) else { return };
        let Counts::Packed(packed) = &place.counts else { return };
        let mut flow = room.unwrap_or_default();
        let mut words = packed.words();
        flow.visit(|word| *word = words.take());
        place.counts = Counts::Open(flow, seat);
    }

    /// A seat for the flow at `index`, and the room of the one that had it before.
    fn seat(&mut self, index: usize, keep: Option<usize>) -> (u32, Option<Box<Flow>>) {
        let seats = self.seats.len();
        if seats < self.max_open {
            self.seats.push(index as u32);
            return (seats as u32, None);
        }
        let is_kept = |seat: usize| self.seats.get(seat).is_some_and(|place| Some(*place as usize) == keep);
        let seat = if is_kept(self.next) { (self.next + 1) % seats } else { self.next };
        self.next = (seat + 1) % seats;
        let before = self.seats.get_mut(seat).map(|place| std::mem::replace(place, index as u32));
        let before = before.and_then(|before| self.places.get_mut(before as usize));
        let room = before.and_then(|place| {
            let packed = Counts::Packed(pack(place.flow()?));
            match std::mem::replace(&mut place.counts, packed) {
                Counts::Open(flow, _) => Some(flow),
                Counts::Packed(_) => None,
            }
        });
        (seat as u32, room)
    }

    /// Nobody sits on `seat` any more: who has the last one takes it.
    fn leave(&mut self, seat: usize) {
        if seat >= self.seats.len() {
            return;
        }
        self.seats.swap_remove(seat);
        let moved = self.seats.get(seat).and_then(|place| self.places.get_mut(*place as usize));
        if let Some(Place { counts: Counts::Open(_, its), .. }) = moved {
            *its = seat as u32;
        }
    }
}

impl Place {
    fn entry(&self) -> Entry {
        let flow = match &self.counts {
            Counts::Open(flow, _) => **flow,
            Counts::Packed(packed) => {
                let mut flow = Flow::default();
                let mut words = packed.words();
                flow.visit(|word| *word = words.take());
                flow
            }
        };
        Entry { key: self.key, sender: self.sender, flow }
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        match &mut self.counts {
            Counts::Open(flow, _) => Some(flow),
            Counts::Packed(_) => None,
        }
    }
}

fn pack(flow: &Flow) -> Packed {
    let mut words = [0; size_of::<Flow>() / size_of::<u32>()];
    let mut places = words.iter_mut();
    let mut flow = *flow;
    flow.visit(|word| {
        if let Some(place) = places.next() {
            *place = *word;
        }
    });
    Packed::of(&words)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn flow(seed: u64) -> Flow {
        let mut flow = Flow::default();
        let mut state = seed;
        flow.visit(|word| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *word = if state >> 63 == 0 { 0 } else { state >> (state >> 57 & 63) };
        });
        flow
    }

    fn entry(number: u32) -> Entry {
        let address = Ipv4Addr::from(number);
        let key = FlowKey { source: address, destination: address, call_id: number as u16 };
        let sender = if number.is_multiple_of(3) { Party::Client } else { Party::Server };
        Entry { key, sender, flow: flow(number.into()) }
    }

    impl Table {
        /// Whether just the flows that are open have seats, each its own.
        fn is_sound(&self) -> bool {
            let open = self.places.iter().filter(|place| matches!(place.counts, Counts::Open(..)));
            let sits = |(seat, place): (usize, &u32)| match self.places[*place as usize].counts {
                Counts::Open(_, its) => its as usize == seat,
                Counts::Packed(_) => false,
            };
            open.count() == self.seats.len() && self.seats.iter().enumerate().all(sits)
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Change(usize),
        Two(usize, usize),
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => Just(Step::Push),
            3 => (0..12usize).prop_map(Step::Change),
            3 => (0..12usize, 0..12usize).prop_map(|(one, other)| Step::Two(one, other)),
            1 => (0..12usize).prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn a_packed_flow_is_the_same(seed: u64) {
            let flow = flow(seed);
            let place = Place { key: entry(0).key, sender: Party::Client, counts: Counts::Packed(pack(&flow)) };
            prop_assert_eq!(place.entry().flow, flow);
        }

        /// As a list of flows would be that packs none.
        #[test]
        fn what_is_packed_in_between_makes_no_difference(max_open in 0..5usize, steps in steps()) {
            let mut table = Table::new(max_open);
            let mut plain: Vec<Entry> = Vec::new();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Push => {
                        prop_assert_eq!(table.push(entry(number)), plain.len());
                        plain.push(entry(number));
                    }
                    Step::Change(index) => {
                        let open = table.flow(index);
                        prop_assert_eq!(open.as_deref(), plain.get(index).map(|entry| &entry.flow));
                        if let (Some(open), Some(plain)) = (open, plain.get_mut(index)) {
                            open.packets += 7;
                            plain.flow.packets += 7;
                        }
                    }
                    Step::Two(one, other) => {
                        let both = table.two(one, Some(other));
                        prop_assert_eq!(both.is_some(), one < plain.len() && (other < plain.len() || one == other));
                        if let Some((first, second)) = both {
                            first.bytes += 1;
                            plain[one].flow.bytes += 1;
                            prop_assert_eq!(second.is_some(), one != other);
                            if let Some(second) = second {
                                second.acks += 2;
                                plain[other].flow.acks += 2;
                            }
                        }
                    }
                    Step::Remove(index) => {
                        let key = table.swap_remove(index);
                        if index < plain.len() {
                            plain.swap_remove(index);
                            prop_assert_eq!(key, plain.get(index).map(|entry| entry.key));
                        }
                    }
                }
                prop_assert!(table.seats.len() <= max_open.max(2));
                prop_assert!(table.is_sound());
                prop_assert_eq!(table.len(), plain.len());
                for (held, plain) in table.iter().zip(&plain) {
                    prop_assert_eq!((held.key, held.sender, held.flow), (plain.key, plain.sender, plain.flow));
                }
            }
        }
    }
}
