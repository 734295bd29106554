//! Which call of the wire belongs to which group of processes, and what their clocks have to do with each
//! other.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::super::Correlator;
use super::super::call::{Call, Serial};
use super::super::interfaces::pair;
use super::{Id, lines};
use crate::event::SessionRef;
use crate::event::log::{Confidence, Join, Key, Quality};
use crate::event::session::Phase;
use crate::observation::Log;
use crate::time::Timestamp;

/// How far from the start of its call a worker may begin: resolution of the log, and clocks.
const NEAR: Duration = Duration::from_secs(5);
/// Calls remembered for one client address.
const MAX_PER_CLIENT: usize = 256;
/// Calls remembered that were over before a daemon was heard.
const MAX_OVER: usize = 256;
/// Client addresses remembered.
const MAX_CLIENTS: usize = 16_384;
/// Samples that an offset is taken from.
const SAMPLES: usize = 31;
/// Samples from which on times are corrected.
const ENOUGH: usize = 3;
/// Offset from which on times are corrected, nanoseconds.
const CORRECTED_NS: u64 = 2_000_000_000;

/// Calls by the address of their client, in the order of arrival, that no group has yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    calls: BTreeMap<Ipv4Addr, VecDeque<(Timestamp, Serial)>>,
    /// Calls that were over before a daemon was heard: client, start, and what events say of them.
    over: VecDeque<(Ipv4Addr, Timestamp, Arc<SessionRef>)>,
}

impl Recent {
    /// A call of the wire begins.
    pub(super) fn begin(&mut self, at: Timestamp, client: Ipv4Addr, serial: Serial) {
        if self.calls.len() >= MAX_CLIENTS && !self.calls.contains_key(&client) {
            self.calls.pop_first();
        }
        // Most clients have one call.
        let calls = self.calls.entry(client).or_insert_with(|| VecDeque::with_capacity(1));
        if calls.len() == MAX_PER_CLIENT {
            calls.pop_front();
        }
        calls.push_back((at, serial));
    }

    /// A call of the wire is over, or has its group.
    pub(super) fn forget(&mut self, client: Ipv4Addr, serial: Serial) {
        if let Some(calls) = self.calls.get_mut(&client) {
            calls.retain(|(_, known)| *known != serial);
            if calls.is_empty() {
                self.calls.remove(&client);
            }
        }
    }

    /// A call is over, and no daemon has spoken of it.
    pub(super) fn end(&mut self, client: Ipv4Addr, started: Timestamp, call: Arc<SessionRef>) {
        if self.over.len() == MAX_OVER {
            self.over.pop_front();
        }
        self.over.push_back((client, started, call));
    }

    /// The call of this client that began when its worker did, and is over.
    fn take_over(&mut self, client: Ipv4Addr, worker: Timestamp) -> Option<Arc<SessionRef>> {
        let is_it = |known: &Ipv4Addr, started: Timestamp| *known == client && near(started, worker);
        let index = self.over.iter().position(|(known, started, _)| is_it(known, *started))?;
        self.over.remove(index).map(|(_, _, call)| call)
    }
}

/// How far the clock of a log is from that of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The log.
    pub source: String,
    /// Wire minus log, nanoseconds: the upper quartile of the samples.
    pub offset_ns: i64,
    /// Events that both have seen.
    pub samples: u64,
}

/// Samples of the offset of each log.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    sources: BTreeMap<String, (u64, VecDeque<i64>)>,
    /// The log whose offset may be another one since it was last asked for.
    news: Option<String>,
}

impl Offsets {
    /// The wire saw at `wire` what the log says was at `log`, give or take `resolution_ns`.
    pub(super) fn sample(&mut self, source: &str, wire: Timestamp, log: Timestamp, resolution_ns: u64) {
        // A stamp names the beginning of the interval that it is in.
        let middle = i128::from(log.unix_ns()) + i128::from(resolution_ns / 2);
        let Ok(offset) = i64::try_from(i128::from(wire.unix_ns()) - middle) else { return };
        if !self.sources.contains_key(source) {
            self.sources.insert(source.to_owned(), (0, VecDeque::new()));
        }
        if let Some((count, samples)) = self.sources.get_mut(source) {
            *count += 1;
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            samples.push_back(offset);
            self.news = (samples.len() >= ENOUGH).then(|| source.to_owned());
        }
    }

    /// An offset that was measured since this was last asked, by enough events; and whether times are corrected by it.
    pub(super) fn take_news(&mut self) -> Option<(Offset, bool)> {
        let source = self.news.take()?;
        let (count, samples) = self.sources.get(&source)?;
        let offset = Offset { offset_ns: estimate(samples)?, samples: *count, source };
        let is_off = offset.offset_ns.unsigned_abs() >= CORRECTED_NS;
        Some((offset, is_off))
    }

    pub(super) fn all(&self) -> Vec<Offset> {
        let offsets = self.sources.iter().filter_map(|(source, (count, samples))| {
            Some(Offset { source: source.clone(), offset_ns: estimate(samples)?, samples: *count })
        });
        offsets.collect()
    }

    /// A time of this log by the clock of the wire, once a few events agree. Less than two seconds are left
    /// as they are: logs of this host have its clock, and their stamps are cut to seconds.
    pub(super) fn correct(&self, source: &str, at: Timestamp) -> Timestamp {
        let Some((_, samples)) = self.sources.get(source) else { return at };
        match estimate(samples) {
            Some(offset) if samples.len() >= ENOUGH && offset.unsigned_abs() >= CORRECTED_NS => {
                Timestamp::from_unix_ns(at.unix_ns().saturating_add_signed(offset))
            }
            _ => at,
        }
    }
}

/// A daemon speaks of an event when it has happened, and on a busy host a while after: what is late in the log is
/// the daemon, so the samples with the least delay are believed. Not the very first: a join may be wrong.
fn estimate(samples: &VecDeque<i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = samples.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() * 3 / 4).copied()
}

fn near(one: Timestamp, other: Timestamp) -> bool {
    one <= other + NEAR && other <= one + NEAR
}

impl Correlator {
    /// Looks for the call of a group that has none.
    pub(super) fn claim_call(&mut self, at: Timestamp, id: Id) {
        let Some(group) = self.logs.groups.get(&id) else { return };
        if group.call.is_some() {
            return;
        }
        let found = self.by_call_ids(id).or_else(|| self.by_addresses(id)).or_else(|| self.by_client(at, id));
        match found.or_else(|| self.by_interface(id)) {
            Some((serial, join)) => self.join_group(id, serial, join),
            None => self.claim_ended_call(id),
        }
    }

    /// The call of the group may be over already.
    fn claim_ended_call(&mut self, id: Id) {
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        if let Some(client) = group.client.filter(|_| group.past.is_none()) {
            group.past = self.logs.recent.take_over(client, group.begun);
        }
    }

    fn join_group(&mut self, id: Id, serial: Serial, join: Join) {
        let Some(group) = self.logs.groups.get_mut(&id) else { return };
        group.call = Some((serial, join));
        self.logs.of_call.insert(serial, id);
        let (interface, user) = (group.interface.clone(), group.user.clone());
        if !group.guess {
            self.tell_call(serial, interface.as_deref(), user.as_deref());
        }
        if let Some(client) = self.calls.get(serial).map(|call| call.client) {
            self.logs.recent.forget(client, serial);
        }
    }

    /// What the daemons know of the call and the wire does not.
    pub(super) fn tell_call(&mut self, serial: Serial, interface: Option<&str>, user: Option<&str>) {
        let Some(call) = self.calls.get(serial) else { return };
        if let Some(interface) = interface
            && call.interface().is_none()
        {
            self.calls.set_interface(serial, interface);
        }
        if let Some(user) = user {
            self.calls.change(serial, |call| {
                call.told_user.get_or_insert_with(|| user.to_owned());
            });
        }
    }

    /// Takes a sample of the difference of the clocks where the wire saw the same event.
    pub(super) fn compare_clocks(&mut self, at: Timestamp, quality: Quality, id: Id, log: &Log) {
        let Some(message) = log.message.as_ref().map(|message| &*message.id) else { return };
        if quality.resolution_ns == 0 {
            return;
        }
        self.claim_call(at, id);
        let Some(group) = self.logs.groups.get(&id) else { return };
        let Some(call) = group.call.and_then(|(serial, _)| self.calls.get(serial)) else { return };
        let wire = match message {
            lines::WORKER_STARTED if near(call.started, group.begun) => call.started,
            lines::PPPD_REMOTE if call.phases.current() == Phase::Up => call.phases.since(),
            _ => return,
        };
        self.logs.offsets.sample(&log.source, wire, at, quality.resolution_ns);
    }

    fn is_free(&self, serial: Serial) -> bool {
        !self.logs.of_call.contains_key(&serial)
    }

    /// pptp-linux says both call ids.
    fn by_call_ids(&self, id: Id) -> Option<(Serial, Join)> {
        let ids = self.logs.groups.get(&id)?.call_ids?;
        let mut calls = self.calls.iter().filter(|(serial, call)| {
            call.client_call_id.zip(call.server_call_id) == Some(ids) && self.is_free(**serial)
        });
        let (serial, _) = calls.next()?;
        calls.next().is_none().then_some((*serial, Join { key: Key::CallIds, confidence: Confidence::High }))
    }

    /// Both ends of the tunnel have these addresses.
    fn by_addresses(&self, id: Id) -> Option<(Serial, Join)> {
        let group = self.logs.groups.get(&id)?;
        let tunnel = pair(group.local?, group.remote?);
        let (serial, _) = self
            .calls
            .iter()
            .rev()
            .find(|(serial, call)| call.tunnel_addresses() == Some(tunnel) && self.is_free(**serial))?;
        Some((*serial, Join { key: Key::TunnelAddress, confidence: Confidence::High }))
    }

    /// The client's address, at the time when the control connection began.
    fn by_client(&self, at: Timestamp, id: Id) -> Option<(Serial, Join)> {
        let group = self.logs.groups.get(&id)?;
        let calls = self.logs.recent.calls.get(&group.client?)?;
        let is_near = |begun: Timestamp| near(begun, group.begun);
        let mut candidates = calls.iter().filter(|(begun, serial)| is_near(*begun) && self.is_free(*serial));
        let first = candidates.next().map(|(_, serial)| *serial);
        let is_only = candidates.next().is_none();
        let serial = match first {
            Some(serial) => serial,
            // Met in mid-call: the client has one call and one worker.
            None if calls.len() == 1 && group.begun + NEAR < at => {
                calls.front().map(|(_, serial)| *serial)?
            }
            None => self.waiting_call(calls, group.begun)?,
        };
        let confidence = if first.is_some() && is_only { Confidence::High } else { Confidence::Medium };
        Some((serial, Join { key: Key::ClientAddress, confidence }))
    }

    /// The only call of a client that may have waited for its worker until `begun`: a daemon at its limit takes
    /// a connection late. The kernel has answered it, and packets of it come.
    fn waiting_call(&self, calls: &VecDeque<(Timestamp, Serial)>, begun: Timestamp) -> Option<Serial> {
        let waits = |call: &Call| {
            call.started <= begun && begun <= call.last_seen + NEAR && call.phases.last_open() > Phase::Tcp
        };
        let mut waiting = calls
            .iter()
            .filter(|(_, serial)| self.is_free(*serial) && self.calls.get(*serial).is_some_and(waits));
        let (_, serial) = waiting.next()?;
        waiting.next().is_none().then_some(*serial)
    }

    /// pppN of a call that was met by its traffic.
    fn by_interface(&self, id: Id) -> Option<(Serial, Join)> {
        let group = self.logs.groups.get(&id)?;
        let serial = self.calls.on_interface(group.interface.as_deref()?)?;
        let is_younger = self.calls.get(serial).is_some_and(|call| group.begun <= call.last_seen + NEAR);
        (is_younger && self.is_free(serial) && !group.phases.is_ending())
            .then_some((serial, Join { key: Key::Interface, confidence: Confidence::Medium }))
    }
}
