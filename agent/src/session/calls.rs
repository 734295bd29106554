//! All calls that are held, and the ways to find one.
//!
//! Ten thousand calls may sit behind the one address of a NAT, so no question about one of them may look
//! at the others: each has an index. What a call has to do with the indexes follows from the call alone
//! ([`Marks`]); it changes inside [`Calls::change`] only, which keeps them true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::call::{Call, Serial};
use super::interfaces::Pair;
use crate::event::Party;
use crate::event::session::Phase;
use crate::time::Timestamp;

/// Addresses of two ends, client first.
pub(super) type Ends = (Ipv4Addr, Ipv4Addr);

/// The table.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// In boxes: the nodes of a tree that only grows are half empty.
    calls: BTreeMap<Serial, Box<Call>>,
    /// When something must be done about which call.
    deadlines: BTreeSet<(Timestamp, Serial)>,
    /// Without any call id yet.
    half_open: BTreeSet<Serial>,
    /// With the call id of one end known, and that of the party not.
    halves: BTreeMap<(Ends, Party), BTreeSet<Serial>>,
    /// Without control connection.
    orphans: BTreeMap<Ends, BTreeSet<Serial>>,
    /// Up and waiting for the pppN with these addresses ([`pair`]).
    awaiting: BTreeSet<(Pair, Serial)>,
    /// On which pppN, by name.
    interfaces: BTreeMap<String, BTreeSet<Serial>>,
}

/// What the indexes know of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    deadline: Option<Timestamp>,
    half_open: bool,
    half: Option<(Ends, Party)>,
    orphan: Option<Ends>,
    awaiting: Option<Pair>,
}

impl Marks {
    fn of(call: &Call) -> Self {
        let ends = (call.client, call.server);
        let half = match (call.client_call_id, call.server_call_id) {
            (Some(_), None) => Some((ends, Party::Server)),
            (None, Some(_)) => Some((ends, Party::Client)),
            _ => None,
        };
        // A busy host may need longer than `session.up` waits: what follows should name the interface. A log
        // may name it before it is seen; books need the unit itself.
        let awaits = call.books.unit.is_none() && call.phases.current() == Phase::Up;
        Self {
            deadline: call.deadline,
            half_open: call.is_half_open(),
            half,
            orphan: call.connection.is_none().then_some(ends),
            awaiting: if awaits { call.tunnel_addresses() } else { None },
        }
    }
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn get(&self, serial: Serial) -> Option<&Call> {
        self.calls.get(&serial).map(Box::as_ref)
    }

    /// In the order of arrival.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Serial, &Call)> {
        self.calls.iter().map(|(serial, call)| (serial, call.as_ref()))
    }

    /// Those with the serial `from` and later ones.
    pub(super) fn iter_from(&self, from: Serial) -> impl Iterator<Item = (&Serial, &Call)> {
        self.calls.range(from..).map(|(serial, call)| (serial, call.as_ref()))
    }

    /// Takes a call up.
    pub(super) fn insert(&mut self, serial: Serial, mut call: Call) {
        call.renew_reference();
        self.mark(serial, Marks::default(), Marks::of(&call));
        self.calls.insert(serial, Box::new(call));
    }

    /// Changes a call; None when it is gone.
    pub(super) fn change<R>(&mut self, serial: Serial, change: impl FnOnce(&mut Call) -> R) -> Option<R> {
        let call = self.calls.get_mut(&serial)?;
        let before = Marks::of(call);
        let result = change(call);
        call.renew_reference();
        let after = Marks::of(call);
        if before != after {
            self.mark(serial, before, after);
        }
        Some(result)
    }

    /// Every call, for changes that no index knows of: its books.
    pub(super) fn books_mut(&mut self) -> impl Iterator<Item = (Serial, &mut Call)> {
        self.calls.iter_mut().map(|(serial, call)| (*serial, call.as_mut()))
    }

    /// The call is on this pppN.
    pub(super) fn set_interface(&mut self, serial: Serial, name: &str) {
        let old = self.change(serial, |call| call.set_interface(name.to_owned()));
        if let Some(old) = old {
            self.leave(serial, old.as_deref());
            self.interfaces.entry(name.to_owned()).or_default().insert(serial);
        }
    }

    /// Forgets a call.
    pub(super) fn remove(&mut self, serial: Serial) -> Option<Call> {
        let call = *self.calls.remove(&serial)?;
        self.mark(serial, Marks::of(&call), Marks::default());
        self.leave(serial, call.interface());
        Some(call)
    }

    fn leave(&mut self, serial: Serial, interface: Option<&str>) {
        if let Some(name) = interface
            && let Some(on_it) = self.interfaces.get_mut(name)
        {
            on_it.remove(&serial);
            if on_it.is_empty() {
                self.interfaces.remove(name);
            }
        }
    }

    fn mark(&mut self, serial: Serial, before: Marks, after: Marks) {
        exchange(
            &mut self.deadlines,
            before.deadline.map(|at| (at, serial)),
            after.deadline.map(|at| (at, serial)),
        );
        exchange(&mut self.half_open, before.half_open.then_some(serial), after.half_open.then_some(serial));
        exchange(
            &mut self.awaiting,
            before.awaiting.map(|ends| (ends, serial)),
            after.awaiting.map(|ends| (ends, serial)),
        );
        move_group(&mut self.halves, serial, before.half, after.half);
        move_group(&mut self.orphans, serial, before.orphan, after.orphan);
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Calls whose deadlines have come, earliest first.
    pub(super) fn due(&self, now: Timestamp) -> impl Iterator<Item = Serial> {
        self.deadlines.iter().take_while(move |(at, _)| *at <= now).map(|(_, serial)| *serial)
    }

    /// How many calls have no call id yet.
    pub(super) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// The oldest of them.
    pub(super) fn oldest_half_open(&self) -> Option<Serial> {
        self.half_open.first().copied()
    }

    /// The call between these ends of which only the id that `party` assigned is not known, if there is just
    /// one.
    pub(super) fn only_half(&self, ends: Ends, party: Party) -> Option<Serial> {
        only(self.halves.get(&(ends, party))?)
    }

    /// The call between these ends that has no control connection, if there is just one.
    pub(super) fn only_orphan(&self, ends: Ends) -> Option<Serial> {
        only(self.orphans.get(&ends)?)
    }

    /// Calls that wait for a pppN with these addresses.
    pub(super) fn awaiting(&self, tunnel: Pair) -> Vec<Serial> {
        self.awaiting.range((tunnel, 0)..=(tunnel, Serial::MAX)).map(|(_, serial)| *serial).collect()
    }

    /// The call on this pppN. The youngest: names of interfaces are given again.
    pub(super) fn on_interface(&self, name: &str) -> Option<Serial> {
        self.interfaces.get(name)?.last().copied()
    }
}

#[cfg(test)]
impl Calls {
    /// Whether every index says what the calls say.
    pub(super) fn is_sound(&self) -> bool {
        let mut fresh = Self::default();
        for (serial, call) in &self.calls {
            fresh.mark(*serial, Marks::default(), Marks::of(call));
            if let Some(name) = call.interface() {
                fresh.interfaces.entry(name.to_owned()).or_default().insert(*serial);
            }
        }
        fresh.deadlines == self.deadlines
            && fresh.half_open == self.half_open
            && fresh.halves == self.halves
            && fresh.orphans == self.orphans
            && fresh.awaiting == self.awaiting
            && fresh.interfaces == self.interfaces
    }
}

/// The only member of a set, if it has just one.
pub(super) fn only<T: Copy + Ord>(set: &BTreeSet<T>) -> Option<T> {
    set.first().copied().filter(|_| set.len() == 1)
}

/// Moves `member` from one set of a map of sets to another.
pub(super) fn move_group<K: Copy + Ord, T: Copy + Ord>(
    groups: &mut BTreeMap<K, BTreeSet<T>>,
    member: T,
    before: Option<K>,
    after: Option<K>,
) {
    if before == after {
        return;
    }
    if let Some(key) = before
        && let Some(group) = groups.get_mut(&key)
    {
        group.remove(&member);
        if group.is_empty() {
            groups.remove(&key);
        }
    }
    if let Some(key) = after {
        groups.entry(key).or_default().insert(member);
    }
}

fn exchange<T: Ord>(set: &mut BTreeSet<T>, before: Option<T>, after: Option<T>) {
    if before == after {
        return;
    }
    if let Some(before) = before {
        set.remove(&before);
    }
    set.extend(after);
}
