//! One call: who, where it is, what it agreed on, what it carried.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::books::CallBooks;
use super::encryption::Encryption;
use super::inner::{self, Tunnel};
use super::interfaces::{Pair, pair};
use super::negotiation::Negotiation;
use super::phase::Phases;
use super::silence::Silence;
use super::stall::Stalled;
use super::tcp::Noted;
use super::traffic::Traffic;
use crate::event::session::{Cause, End, Origin, Phase, PhaseChange, Stats, Up};
use crate::event::{Party, PerParty, SessionRef};
use crate::observation::FlowKey;
use crate::seldom::Seldom;
use crate::time::Timestamp;

/// Names a call inside the correlator; rises with every call, so that maps keyed by it are in the
/// order of arrival.
pub(super) type Serial = u64;

/// The two ends of a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionKey {
    pub(super) client: SocketAddrV4,
    pub(super) server: SocketAddrV4,
}

/// How long a closed call waits for its last packets.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// How long a call may take to close once it began.
const CLOSING_LIMIT: Duration = Duration::from_secs(30);
/// How long a call that is up waits for its pppN to show before it is reported without.
const INTERFACE_WAIT: Duration = Duration::from_secs(5);

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What events say about the call.
    reference: Arc<SessionRef>,
    pub(super) client: Ipv4Addr,
    pub(super) server: Ipv4Addr,
    pub(super) client_port: Option<u16>,
    pub(super) client_call_id: Option<u16>,
    pub(super) server_call_id: Option<u16>,
    pub(super) connection: Option<ConnectionKey>,
    pub(super) origin: Origin,
    pub(super) started: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) phases: Phases,
    pub(super) negotiation: Negotiation,
    pub(super) traffic: Traffic,
    pub(super) silence: Silence,
    /// When it is looked at again whether the call is one-way.
    pub(super) next_look: Option<Timestamp>,
    pub(super) encryption: Encryption,
    pub(super) books: Seldom<CallBooks>,
    pub(super) stalled: Option<Stalled>,
    interface: Option<String>,
    /// Counters of the interface.
    pub(super) tunnel: Option<Box<Tunnel>>,
    /// Violations of the MSS that were reported, of the counters above.
    pub(super) violations_reported: PerParty<u64>,
    /// The control connection, once it is over or about to be reported.
    pub(super) tcp: Option<Noted>,
    pub(super) control_messages: u64,
    pub(super) negotiation_frames: u64,
    /// When the call went up, until `session.up` was written.
    pub(super) up_pending: Option<Timestamp>,
    /// Name of the user, as its daemons tell it: what the wire shows counts more.
    pub(super) told_user: Option<String>,
    /// What began the end, kept when later signs of the same end follow.
    ending: Option<(Cause, Option<Party>)>,
    /// When `expire` must look at the call again.
    pub(super) deadline: Option<Timestamp>,
    last_stats: Timestamp,
}

impl Call {
    /// A call first seen at `at` in `phase`. `connection` is absent when it was met by its traffic.
    pub(super) fn begin(
        at: Timestamp,
        phase: Phase,
        client: Ipv4Addr,
        server: Ipv4Addr,
        connection: Option<ConnectionKey>,
        serial_in_host: Serial,
    ) -> Self {
        let origin = if connection.is_some() { Origin::Control } else { Origin::Traffic };
        let client_port = connection.map(|key| key.client.port());
        let id = identity(at, client, server, client_port, serial_in_host);
        let reference = SessionRef { client: Some(client), server: Some(server), ..SessionRef::nameless(id) };
        Self {
            reference: Arc::new(reference),
            client,
            server,
            client_port,
            client_call_id: None,
            server_call_id: None,
            connection,
            origin,
            started: at,
            last_seen: at,
            phases: Phases::begin(phase, at),
            negotiation: Negotiation::default(),
            traffic: Traffic::default(),
            silence: Silence::default(),
            next_look: None,
            encryption: Encryption::default(),
            books: Seldom::default(),
            stalled: None,
            interface: None,
            tunnel: None,
            violations_reported: PerParty::default(),
            tcp: None,
            control_messages: 0,
            negotiation_frames: 0,
            up_pending: None,
            told_user: None,
            ending: None,
            deadline: None,
            last_stats: at,
        }
    }

    /// What events say about the call.
    pub(super) fn reference(&self) -> Arc<SessionRef> {
        Arc::clone(&self.reference)
    }

    /// Brings that up to date. Called by [`super::calls::Calls`] after every change.
    pub(super) fn renew_reference(&mut self) {
        let known = &*self.reference;
        let is_so = (known.client_call_id, known.server_call_id)
            == (self.client_call_id, self.server_call_id)
            && known.interface.as_deref() == self.interface()
            && known.user.as_deref() == self.user();
        if !is_so {
            self.reference = Arc::new(SessionRef {
                id: known.id,
                client: Some(self.client),
                server: Some(self.server),
                client_call_id: self.client_call_id,
                server_call_id: self.server_call_id,
                interface: self.interface.clone(),
                user: self.user().map(str::to_owned),
            });
        }
    }

    fn user(&self) -> Option<&str> {
        self.negotiation.user().or(self.told_user.as_deref())
    }

    /// The pppN of the call.
    pub(super) fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// Names its pppN; returns the one before. Called by [`super::calls::Calls`], which has an index of them.
    pub(super) fn set_interface(&mut self, name: String) -> Option<String> {
        self.interface.replace(name)
    }

    /// Both addresses inside the tunnel, once they are agreed on.
    pub(super) fn tunnel_addresses(&self) -> Option<Pair> {
        let of = |party| self.negotiation.address_of(party);
        Some(pair(of(Party::Client)?, of(Party::Server)?))
    }

    /// Whether the call is worth less than a new one: it has no call id yet.
    pub(super) fn is_half_open(&self) -> bool {
        self.client_call_id.is_none() && self.server_call_id.is_none() && !self.phases.is_ending()
    }

    /// Address of one end.
    pub(super) const fn address(&self, party: Party) -> Ipv4Addr {
        match party {
            Party::Client => self.client,
            Party::Server => self.server,
        }
    }

    /// Call id that `party` assigned.
    pub(super) const fn call_id(&self, party: Party) -> Option<u16> {
        match party {
            Party::Client => self.client_call_id,
            Party::Server => self.server_call_id,
        }
    }

    /// Which end sends on `flow`: the id in it is the receiver's.
    pub(super) fn sender_on(&self, flow: &FlowKey) -> Party {
        if flow.source == self.client && self.server_call_id == Some(flow.call_id) {
            Party::Client
        } else {
            Party::Server
        }
    }

    /// The flow that `sender` sends on, once the receiver's call id is known.
    pub(super) fn flow_from(&self, sender: Party) -> Option<FlowKey> {
        Some(FlowKey {
            source: self.address(sender),
            destination: self.address(sender.peer()),
            call_id: self.call_id(sender.peer())?,
        })
    }

    /// The flows of the call that are known.
    pub(super) fn flows(&self) -> impl Iterator<Item = FlowKey> + use<> {
        [self.flow_from(Party::Client), self.flow_from(Party::Server)].into_iter().flatten()
    }

    /// Moves forward to `phase`; None when the call is there, beyond it, or ending.
    pub(super) fn advance_to(
        &mut self,
        phase: Phase,
        at: Timestamp,
        reason: Cause,
        by: Option<Party>,
    ) -> Option<PhaseChange> {
        if self.phases.current() >= phase {
            return None;
        }
        let change = self.phases.enter(phase, at, reason, by)?;
        if phase == Phase::Up {
            self.up_pending = Some(at);
            self.deadline = Some(at + INTERFACE_WAIT);
        }
        Some(change)
    }

    /// Goes back to LCP: an open link negotiates anew.
    pub(super) fn renegotiate(&mut self, at: Timestamp, by: Party) -> Option<PhaseChange> {
        if self.phases.is_ending() || self.phases.current() <= Phase::Lcp {
            return None;
        }
        self.phases.enter(Phase::Lcp, at, Cause::LcpRenegotiation, Some(by))
    }

    /// Begins the end of the call: the first cause counts, later ones are its consequences.
    pub(super) fn begin_closing(
        &mut self,
        at: Timestamp,
        cause: Cause,
        by: Option<Party>,
    ) -> Option<PhaseChange> {
        if self.phases.is_ending() {
            return None;
        }
        // A server that refused the client's proof then terminates LCP: the refusal is the cause.
        let (cause, by) = match self.negotiation.authentication_failed_by() {
            Some(party) if cause != Cause::Evicted => (Cause::AuthenticationFailed, Some(party)),
            _ => (cause, by),
        };
        self.ending = Some((cause, by));
        self.deadline = Some(at + CLOSING_LIMIT);
        self.phases.enter(Phase::Closing, at, cause, by)
    }

    /// The call is over; it lingers for its last packets. Called after `begin_closing`.
    pub(super) fn close(&mut self, at: Timestamp, cause: Cause, by: Option<Party>) -> Option<PhaseChange> {
        let change = self.phases.enter(Phase::Closed, at, cause, by)?;
        self.deadline = Some(at + LINGER);
        Some(change)
    }

    /// What began the end.
    pub(super) const fn ending(&self) -> Option<(Cause, Option<Party>)> {
        self.ending
    }

    /// Payload of `session.up`.
    pub(super) fn up(&self, since: Timestamp) -> Up {
        Up {
            user: self.user().map(str::to_owned),
            auth_protocol: self.negotiation.auth_protocol(),
            interface: self.interface.clone(),
            server_address: self.negotiation.address_of(Party::Server),
            client_address: self.negotiation.address_of(Party::Client),
            mppe: self.negotiation.mppe(),
            client_peer: self.negotiation.peers.client.clone(),
            server_peer: self.negotiation.peers.server.clone(),
            phases: self.phases.finished(),
            setup_ns: since.ns_since(self.started),
            processes: Vec::new(),
        }
    }

    /// Payload of `session.stats` for the time since the last one.
    pub(super) fn stats(&mut self, now: Timestamp) -> Stats {
        let stats = Stats {
            phase: self.phases.current(),
            age_ns: now.ns_since(self.started),
            interval_ns: now.ns_since(self.last_stats),
            from_client: self.traffic.rate(Party::Client),
            from_server: self.traffic.rate(Party::Server),
            control_messages: self.control_messages,
            negotiation_frames: self.negotiation_frames,
            tcp: self.tcp.as_ref().map(Noted::stats),
            inner: inner::stats(self.tunnel.as_deref(), self.traffic.here()),
            control_echo: self.negotiation.control_echo.stats(),
            lcp_echo: self.negotiation.lcp_echo.stats(),
        };
        self.last_stats = now;
        stats
    }

    /// Payload of `session.end`. `unforeseen` is the cause when nothing on the wire began the end.
    pub(super) fn end(&self, now: Timestamp, unforeseen: Cause) -> End {
        let (reason, by) = self.ending.unwrap_or((unforeseen, None));
        End {
            reason,
            by,
            last_phase: self.phases.last_open(),
            was_up: self.phases.was_up(),
            duration_ns: now.ns_since(self.started),
            phases: self.phases.times(now),
            from_client: Some(self.traffic.of(Party::Client)),
            from_server: Some(self.traffic.of(Party::Server)),
            tcp: self.tcp.as_ref().map(Noted::stats),
            inner: inner::stats(self.tunnel.as_deref(), self.traffic.here()),
            log_message: None,
            processes: Vec::new(),
            client_peer: self.negotiation.peers.client.clone(),
            server_peer: self.negotiation.peers.server.clone(),
            control_result: self.negotiation.control_result.as_deref().cloned(),
            termination: self.negotiation.termination.clone(),
            client_lcp: self.negotiation.client_lcp,
            negotiation: self.negotiation.summaries(),
            control_echo: self.negotiation.control_echo.stats(),
            lcp_echo: self.negotiation.lcp_echo.stats(),
        }
    }
}

/// Name of the call for ever: the same observations give the same one.
fn identity(
    at: Timestamp,
    client: Ipv4Addr,
    server: Ipv4Addr,
    client_port: Option<u16>,
    serial: Serial,
) -> Uuid {
    let name = format!("pptp:{client}:{}:{server}:{}:{serial}", client_port.unwrap_or(0), at.unix_ns());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}
