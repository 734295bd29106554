//! Control connections: two byte streams each, and the calls on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use super::call::{ConnectionKey, Serial};
use super::calls::{Ends, move_group, only};
use super::tcp::Tcp;
use crate::event::control::Peer;
use crate::event::{Party, PerParty};
use crate::observation::Segment;
use crate::time::Timestamp;
use crate::wire::stream::Assembler;
use crate::wire::tcp::{Flags, PPTP_PORT};

/// State of a control connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) streams: PerParty<Assembler>,
    /// Live calls on it, oldest first.
    calls: Vec<Serial>,
    /// Since when it has had none.
    idle_since: Timestamp,
    /// Who has sent FIN.
    pub(super) finished: PerParty<bool>,
    /// Sequence number of the client's SYN, to know a retransmission of it.
    pub(super) client_isn: Option<u32>,
    /// How the two ends introduced themselves.
    pub(super) peers: PerParty<Option<Arc<Peer>>>,
    pub(super) last_seen: Timestamp,
    pub(super) tcp: Tcp,
    /// Whether the client sent something that is not PPTP.
    pub(super) had_garbage: bool,
}

impl Connection {
    fn new(at: Timestamp) -> Self {
        Self {
            streams: PerParty::default(),
            calls: Vec::new(),
            idle_since: at,
            finished: PerParty::default(),
            client_isn: None,
            peers: PerParty::default(),
            last_seen: at,
            tcp: Tcp::default(),
            had_garbage: false,
        }
    }

    /// Live calls on it, oldest first.
    pub(super) fn calls(&self) -> &[Serial] {
        &self.calls
    }

    fn idle_mark(&self) -> Option<Timestamp> {
        self.calls.is_empty().then_some(self.idle_since)
    }
}

impl ConnectionKey {
    /// Not after any other.
    const FIRST: Self = Self::of(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    /// Not before any other.
    const LAST: Self = Self::of(SocketAddrV4::new(Ipv4Addr::BROADCAST, u16::MAX));

    const fn of(both: SocketAddrV4) -> Self {
        Self { client: both, server: both }
    }

    /// Addresses of its ends.
    pub(super) const fn ends(&self) -> Ends {
        (*self.client.ip(), *self.server.ip())
    }
}

/// All control connections, with an index for each question about them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    connections: BTreeMap<ConnectionKey, Box<Connection>>,
    between: BTreeSet<(Ends, ConnectionKey)>,
    /// Those without a call, the longest idle first.
    idle: BTreeSet<(Timestamp, ConnectionKey)>,
    idle_between: BTreeMap<Ends, BTreeSet<ConnectionKey>>,
    /// How an end of either kind introduced itself last.
    introduced: PerParty<Option<Arc<Peer>>>,
}

impl Connections {
    pub(super) fn contains(&self, key: &ConnectionKey) -> bool {
        self.connections.contains_key(key)
    }

    pub(super) fn get(&self, key: &ConnectionKey) -> Option<&Connection> {
        self.connections.get(key).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, key: &ConnectionKey) -> Option<&mut Connection> {
        self.connections.get_mut(key).map(Box::as_mut)
    }

    /// An introduction of `party`. Most ends of a kind say the same: those share it.
    pub(super) fn introduce(&mut self, party: Party, peer: Peer) -> Arc<Peer> {
        let last = self.introduced.of_mut(party);
        if let Some(known) = last.as_ref().filter(|known| ***known == peer) {
            return Arc::clone(known);
        }
        Arc::clone(last.insert(Arc::new(peer)))
    }

    /// Live calls on a connection, oldest first.
    pub(super) fn calls_on(&self, key: &ConnectionKey) -> &[Serial] {
        self.get(key).map_or(&[], Connection::calls)
    }

    /// A new connection; one that had the same ends and ports before is forgotten. Of more than `limit`
    /// connections the one that has been idle for longest goes: should it speak again, it is joined.
    pub(super) fn open(&mut self, at: Timestamp, key: ConnectionKey, isn: Option<u32>, limit: usize) {
        self.remove(&key);
        if self.connections.len() >= limit
            && let Some((_, longest)) = self.idle.first().copied()
        {
            self.remove(&longest);
        }
        let mut connection = Connection::new(at);
        connection.client_isn = isn;
        self.connections.insert(key, Box::new(connection));
        self.between.insert((key.ends(), key));
        self.mark(key, None, Some(at));
    }

    pub(super) fn remove(&mut self, key: &ConnectionKey) {
        if let Some(connection) = self.connections.remove(key) {
            self.between.remove(&(key.ends(), *key));
            self.mark(*key, connection.idle_mark(), None);
        }
    }

    /// The call is on the connection; false when there is no such connection.
    pub(super) fn attach(&mut self, key: &ConnectionKey, serial: Serial) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let before = connection.idle_mark();
        if connection.calls.is_empty() {
            // Nearly every connection has one call.
            connection.calls.reserve_exact(1);
        }
        connection.calls.push(serial);
        self.mark(*key, before, None);
        true
    }

    /// The call is gone.
    pub(super) fn detach(&mut self, at: Timestamp, key: &ConnectionKey, serial: Serial) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let before = connection.idle_mark();
        connection.calls.retain(|other| *other != serial);
        if before.is_none() {
            connection.idle_since = at;
        }
        let after = connection.idle_mark();
        self.mark(*key, before, after);
    }

    /// Forgets the connection unless a call is on it.
    pub(super) fn remove_idle(&mut self, key: &ConnectionKey) {
        if self.calls_on(key).is_empty() {
            self.remove(key);
        }
    }

    fn mark(&mut self, key: ConnectionKey, before: Option<Timestamp>, after: Option<Timestamp>) {
        if let Some(at) = before {
            self.idle.remove(&(at, key));
        }
        if let Some(at) = after {
            self.idle.insert((at, key));
        }
        let group = |mark: Option<Timestamp>| mark.map(|_| key.ends());
        move_group(&mut self.idle_between, key, group(before), group(after));
    }

    /// Who `source` is towards `destination`, as far as a connection between them tells.
    pub(super) fn role_of(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Option<Party> {
        let is_one = |ends: Ends| {
            let (first, last) = (ConnectionKey::FIRST, ConnectionKey::LAST);
            self.between.range((ends, first)..=(ends, last)).next().is_some()
        };
        if is_one((source, destination)) {
            Some(Party::Client)
        } else if is_one((destination, source)) {
            Some(Party::Server)
        } else {
            None
        }
    }

    /// The connection between these ends that has no call, if there is just one.
    pub(super) fn only_idle(&self, ends: Ends) -> Option<ConnectionKey> {
        only(self.idle_between.get(&ends)?)
    }

    /// Forgets connections without call that were silent for longer than `limit`.
    pub(super) fn sweep(&mut self, now: Timestamp, limit: Duration) {
        let silent = |key: &ConnectionKey| {
            self.connections.get(key).is_none_or(|connection| connection.last_seen + limit <= now)
        };
        let old: Vec<_> = self.idle.iter().map(|(_, key)| *key).filter(silent).collect();
        for key in old {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
impl Connections {
    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether every index says what the connections say.
    pub(super) fn is_sound(&self) -> bool {
        let mut fresh = Self::default();
        for (key, connection) in &self.connections {
            fresh.between.insert((key.ends(), *key));
            fresh.mark(*key, None, connection.idle_mark());
        }
        fresh.between == self.between && fresh.idle == self.idle && fresh.idle_between == self.idle_between
    }

    /// Every call with the connection that it is on.
    pub(super) fn attached(&self) -> impl Iterator<Item = (ConnectionKey, Serial)> {
        self.connections
            .iter()
            .flat_map(|(key, connection)| connection.calls.iter().map(|serial| (*key, *serial)))
    }
}

/// Which connection a segment belongs to, and who sent it: the server's end has port 1723.
pub(super) fn identify(segment: &Segment) -> (ConnectionKey, Party) {
    let from_server = if segment.destination.port() == PPTP_PORT {
        // Both ports may be 1723: then SYN with ACK tells the server's answer.
        segment.source.port() == PPTP_PORT
            && segment.flags.contains(Flags::SYN)
            && segment.flags.contains(Flags::ACK)
    } else {
        true
    };
    if from_server {
        (ConnectionKey { client: segment.destination, server: segment.source }, Party::Server)
    } else {
        (ConnectionKey { client: segment.source, server: segment.destination }, Party::Client)
    }
}
