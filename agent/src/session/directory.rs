//! Who was where, and when: the calls of now and of the last minutes, found by what others call them. Logs
//! and RADIUS speak of a call by the address or the name of its user, and often after it is over.
//!
//! It is kept up to date from the events that the correlator writes, so that nothing else must.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::event::log::{Confidence, Join, Key};
use crate::event::{Body, Event, SessionRef};
use crate::time::Timestamp;

/// How long a call is remembered after its end.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Calls that are over and remembered.
const MAX_OVER: usize = 4096;
/// Names that others gave to calls.
const MAX_ALIASES: usize = 16_384;
/// How much a stamp of another program may be off when a call is chosen by it.
const NEAR: Duration = Duration::from_secs(2);
/// How much the clock of another machine may be off.
const FAR: Duration = Duration::from_secs(90);

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) reference: Arc<SessionRef>,
    started: Timestamp,
    ended: Option<Timestamp>,
    /// Address inside the tunnel.
    tunnel: Option<Ipv4Addr>,
}

impl Entry {
    /// Whether it was there some time from `from` until `until`.
    fn contains(&self, (from, until): (Timestamp, Timestamp), slack: Duration) -> bool {
        self.started <= until + slack && self.ended.is_none_or(|ended| from <= ended + slack)
    }
}

/// What somebody says about a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Description<'a> {
    /// Names that mean one call only: a CoID, an Acct-Session-Id with the address of its server.
    pub(super) aliases: Vec<(Key, String)>,
    pub(super) client: Option<Ipv4Addr>,
    pub(super) tunnel: Option<Ipv4Addr>,
    pub(super) interface: Option<String>,
    pub(super) user: Option<&'a str>,
    /// How coarse the stamp is: it was said so much later at most.
    pub(super) resolution: Duration,
}

/// All calls that can be found.
#[derive(Debug, Default)]
pub(super) struct Directory {
    entries: BTreeMap<Uuid, Entry>,
    by_client: BTreeSet<(Ipv4Addr, Uuid)>,
    by_tunnel: BTreeSet<(Ipv4Addr, Uuid)>,
    by_user: BTreeSet<(String, Uuid)>,
    by_interface: BTreeSet<(String, Uuid)>,
    over: VecDeque<(Timestamp, Uuid)>,
    aliases: BTreeMap<String, Uuid>,
    /// Aliases in the order in which they were learnt.
    learnt: VecDeque<String>,
}

/// A name of a user without its domain, in lower case: the same user is `EXAMPLE\alice` in one place and
/// `alice@example.com` in another.
pub(super) fn bare(user: &str) -> String {
    let name = user.rsplit('\\').next().unwrap_or(user);
    name.split('@').next().unwrap_or(name).to_lowercase()
}

impl Directory {
    /// Reads what the correlator has just said.
    pub(super) fn read(&mut self, events: &[Event]) {
        for event in events {
            let Some(session) = &event.session else { continue };
            match &event.body {
                Body::SessionStats { .. }
                | Body::GreStats { .. }
                | Body::RadiusExchange { .. }
                | Body::Log { .. } => continue,
                Body::SessionEnd { .. } => self.end(event.ts, session),
                body => self.update(event.ts, session, body),
            }
        }
    }

    fn update(&mut self, at: Timestamp, session: &Arc<SessionRef>, body: &Body) {
        let id = session.id;
        let entry = self.entries.entry(id).or_insert_with(|| {
            if let Some(client) = session.client {
                self.by_client.insert((client, id));
            }
            // Without names: those are entered below.
            let reference = SessionRef { user: None, interface: None, ..SessionRef::clone(session) };
            Entry { reference: Arc::new(reference), started: at, ended: None, tunnel: None }
        });
        if entry.reference != *session {
            let user = |session: &SessionRef| session.user.as_deref().map(bare);
            exchange(&mut self.by_user, id, user(&entry.reference), user(session));
            let interface = |session: &SessionRef| session.interface.clone();
            exchange(&mut self.by_interface, id, interface(&entry.reference), interface(session));
            entry.reference = Arc::clone(session);
        }
        if let Body::SessionUp { session_up } = body
            && let Some(address) = session_up.client_address
        {
            let before = entry.tunnel.replace(address);
            exchange(&mut self.by_tunnel, id, before, Some(address));
        }
    }

    fn end(&mut self, at: Timestamp, session: &SessionRef) {
        let Some(entry) = self.entries.get_mut(&session.id) else { return };
        if entry.ended.replace(at).is_none() {
            self.over.push_back((at, session.id));
        }
        while self.over.front().is_some_and(|(ended, _)| *ended + REMEMBERED < at)
            || self.over.len() > MAX_OVER
        {
            let Some((_, id)) = self.over.pop_front() else { break };
            self.forget(id);
        }
    }

    fn forget(&mut self, id: Uuid) {
        let Some(entry) = self.entries.remove(&id) else { return };
        leave(&mut self.by_client, entry.reference.client, id);
        leave(&mut self.by_tunnel, entry.tunnel, id);
        leave(&mut self.by_user, entry.reference.user.as_deref().map(bare), id);
        leave(&mut self.by_interface, entry.reference.interface.clone(), id);
    }

    /// A call.
    pub(super) fn get(&self, id: Uuid) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// From now on `alias` means this call.
    pub(super) fn learn(&mut self, alias: String, id: Uuid) {
        if self.aliases.insert(alias.clone(), id).is_none() {
            self.learnt.push_back(alias);
        }
        while self.learnt.len() > MAX_ALIASES {
            if let Some(oldest) = self.learnt.pop_front() {
                self.aliases.remove(&oldest);
            }
        }
    }

    /// The one call that was there at `at` and fits; None when there is none, or more than one.
    pub(super) fn find(&self, at: Timestamp, description: &Description<'_>) -> Option<(Uuid, Join)> {
        for (key, alias) in &description.aliases {
            if let Some(id) = self.aliases.get(alias).filter(|id| self.entries.contains_key(id)) {
                return Some((*id, Join { key: *key, confidence: Confidence::High }));
            }
        }
        let user = description.user.map(bare);
        let during = (at, at + description.resolution);
        for slack in [NEAR, FAR] {
            let distant = slack == FAR;
            let there = |ids: &[Uuid], slack| {
                let is_there =
                    |id: &&Uuid| self.entries.get(id).is_some_and(|entry| entry.contains(during, slack));
                let fits = |id: &&Uuid| self.fits(**id, description.client, user.as_deref());
                ids.iter().filter(is_there).filter(fits).copied().collect::<Vec<_>>()
            };
            let by = |ids: Vec<Uuid>, key: Key, sure: Confidence| {
                let mut near = there(&ids, slack);
                if near.len() > 1 {
                    // One call follows the other: which of them was it then?
                    near = there(&near, Duration::ZERO);
                }
                let [id] = near.as_slice() else { return None };
                let confidence = if distant { Confidence::Low } else { sure };
                Some((*id, Join { key, confidence }))
            };
            let of_client = with(&self.by_client, description.client);
            let of_tunnel = with(&self.by_tunnel, description.tunnel);
            let of_user = with(&self.by_user, user.clone());
            let sure = if user.is_some() { Confidence::High } else { Confidence::Medium };
            let found = by(of_client, Key::ClientAddress, sure)
                .or_else(|| by(of_tunnel, Key::TunnelAddress, Confidence::High));
            let of_client = there(&with(&self.by_client, description.client), slack);
            let unknown =
                |id: &Uuid| self.entries.get(id).is_some_and(|entry| entry.reference.interface.is_none());
            if found.is_none() && of_client.iter().any(unknown) {
                // The interface is that of a call before; this one's is not known yet.
                return None;
            }
            let of_interface = with(&self.by_interface, description.interface.clone());
            let found = found.or_else(|| by(of_interface, Key::Interface, Confidence::High));
            // A name alone is enough only where no address says otherwise.
            let found = found.or_else(|| by(of_user, Key::User, Confidence::Medium));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Whether what is known of a call does not contradict what is said of it.
    fn fits(&self, id: Uuid, client: Option<Ipv4Addr>, user: Option<&str>) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let known = entry.reference.user.as_deref().map(bare);
        client.is_none_or(|client| Some(client) == entry.reference.client)
            && (known.is_none() || user.is_none_or(|user| known.as_deref() == Some(user)))
    }
}

/// The calls that an index has under `key`.
fn with<K: Ord + Clone>(index: &BTreeSet<(K, Uuid)>, key: Option<K>) -> Vec<Uuid> {
    let Some(key) = key else { return Vec::new() };
    index.range((key.clone(), Uuid::nil())..=(key, Uuid::max())).map(|(_, id)| *id).collect()
}

/// Moves a call from one place of an index to another.
fn exchange<K: Ord>(index: &mut BTreeSet<(K, Uuid)>, id: Uuid, before: Option<K>, after: Option<K>) {
    if before != after {
        leave(index, before, id);
        index.extend(after.map(|key| (key, id)));
    }
}

fn leave<K: Ord>(index: &mut BTreeSet<(K, Uuid)>, key: Option<K>, id: Uuid) {
    if let Some(key) = key {
        index.remove(&(key, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::session::{Origin, Phase, Start};

    #[test]
    fn of_two_calls_that_follow_each_other_the_one_that_was_there() {
        let mut directory = Directory::default();
        let at = |ms: u64| Timestamp::from_unix_ns(ms * 1_000_000);
        let client = Ipv4Addr::new(192, 0, 2, 10);
        let start = Start { origin: Origin::Control, phase: Phase::Tcp, client_port: None };
        let started = Body::SessionStart { session_start: start };
        let session = |id: u128, interface: Option<&str>| {
            Arc::new(SessionRef {
                client: Some(client),
                interface: interface.map(str::to_owned),
                ..SessionRef::nameless(Uuid::from_u128(id))
            })
        };
        let first = session(1, Some("ppp0"));
        directory.update(at(36_400), &first, &started);
        directory.end(at(40_050), &first);
        directory.update(at(41_500), &session(2, None), &started);
        let found = |ms, resolution| {
            let interface = Some("ppp0".to_owned());
            let description =
                Description { client: Some(client), interface, resolution, ..Description::default() };
            directory.find(at(ms), &description).map(|(id, _)| id.as_u128())
        };
        let second = Duration::from_secs(1);
        assert_eq!(found(42_000, second), Some(2), "the second one stands");
        assert_eq!(found(41_000, second), Some(2), "some time in this second it began");
        assert_eq!(found(40_000, second), Some(1));
        // Between the two: the interface of the second one is not known, it may be the same.
        assert_eq!(found(40_800, Duration::ZERO), None);
    }

    #[test]
    fn forgotten_calls_leave_nothing_in_an_index() {
        let mut directory = Directory::default();
        let at = |s: u64| Timestamp::from_unix_ns(s * 1_000_000_000);
        let start = Start { origin: Origin::Control, phase: Phase::Tcp, client_port: None };
        let started = Body::SessionStart { session_start: start };
        for number in 0..3u32 {
            let session = |named: bool| {
                Arc::new(SessionRef {
                    id: Uuid::from_u128(u128::from(number) + 1),
                    client: Some(Ipv4Addr::from(number)),
                    server: None,
                    client_call_id: None,
                    server_call_id: None,
                    interface: named.then(|| format!("ppp{number}")),
                    user: named.then(|| format!("EXAMPLE\\user{number}")),
                })
            };
            directory.update(at(0), &session(false), &started);
            directory.update(at(1), &session(true), &started);
            directory.end(at(2 + u64::from(number) * 1000), &session(true));
        }
        // Only the last one is remembered.
        let indexes = [directory.by_client.len(), directory.by_user.len(), directory.by_interface.len()];
        assert_eq!((directory.entries.len(), indexes), (1, [1; 3]));
        let description = |user| Description { user: Some(user), ..Description::default() };
        assert!(directory.find(at(1), &description("user0")).is_none());
        assert!(directory.find(at(1), &description("USER2@example.com")).is_some());
    }
}
