//! The GRE counters of a call, as the flow map gives them.

mod latest;

use latest::Latest;

use crate::event::gre::{Counters, GreStats, RoundTrips};
use crate::event::session::Rate;
use crate::event::{Party, PerParty};
use crate::observation::{Direction, Flow};
use crate::time::Timestamp;

/// Counters of both directions, and what of them was reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    latest: Latest,
    /// What rates are reckoned from.
    reported: PerParty<Reported>,
    has_moved: bool,
    sighting: PerParty<Option<Direction>>,
    /// When the counters were last read.
    read_at: Timestamp,
}

/// Sums at the time of the last report.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    packets: u64,
    bytes: u64,
    lost: u64,
}

impl From<&Counters> for Reported {
    fn from(counters: &Counters) -> Self {
        Self { packets: counters.packets, bytes: counters.bytes, lost: counters.lost }
    }
}

impl Traffic {
    /// Whether packets of `sender` that pass this host in `direction` are to be taken. A host that
    /// forwards a call sees each packet twice, coming in and going out: the first sighting decides
    /// which of the two is followed.
    pub(super) fn follows(&mut self, sender: Party, direction: Direction) -> bool {
        *self.sighting.of_mut(sender).get_or_insert(direction) == direction
    }

    /// Which end this host is, by the way that packets pass it. One that forwards the call counts as
    /// the server: so does whoever sees no packets.
    pub(super) fn here(&self) -> Party {
        match (self.sighting.client, self.sighting.server) {
            (Some(Direction::Egress), _) | (None, Some(Direction::Ingress)) => Party::Client,
            _ => Party::Server,
        }
    }

    /// Which way the packets of `sender` pass this host; None before one was seen.
    pub(super) fn sighted(&self, sender: Party) -> Option<Direction> {
        *self.sighting.of(sender)
    }

    /// Takes the latest counters of what `sender` sent.
    pub(super) fn update(&mut self, at: Timestamp, sender: Party, flow: &Flow) {
        self.read_at = at;
        let before = self.latest.get();
        let mut latest = before;
        let known = before.of(sender);
        let counters = Counters {
            ccp_reset_requests: known.ccp_reset_requests,
            ccp_reset_acks: known.ccp_reset_acks,
            ack_rtt: known.ack_rtt,
            window: known.window,
            outstanding_max: known.outstanding_max,
            ..Counters::from(flow)
        };
        *latest.of_mut(sender) = counters;
        // The acknowledgements of this end are about what the other one sent.
        let other = latest.of_mut(sender.peer());
        other.ack_rtt = RoundTrips::of(&flow.round_trips);
        other.outstanding_max = other.ack_rtt.is_some().then_some(flow.outstanding);
        for end in [Party::Client, Party::Server] {
            let ack = latest.of(end.peer()).last_acknowledgement;
            let counters = latest.of_mut(end);
            counters.outstanding = counters.highest_sequence.zip(ack).map(|(highest, ack)| {
                // The two were not read in the same instant.
                let outstanding = highest.wrapping_sub(ack);
                if outstanding < 1 << 31 { outstanding } else { 0 }
            });
        }
        if latest != before {
            self.has_moved = true;
            self.latest.set(&latest);
        }
    }

    fn change<R>(&mut self, end: Party, change: impl FnOnce(&mut Counters) -> R) -> R {
        let mut latest = self.latest.get();
        let result = change(latest.of_mut(end));
        self.latest.set(&latest);
        result
    }

    /// `receiver` advertised the window that it grants the other end.
    pub(super) fn set_window(&mut self, receiver: Party, window: u16) {
        // No news by itself.
        self.change(receiver.peer(), |counters| counters.window = Some(window));
    }

    /// Counts a CCP Reset-Request of `sender`; returns how many there were.
    pub(super) fn ccp_reset_request(&mut self, sender: Party) -> u64 {
        self.has_moved = true;
        self.change(sender, |counters| {
            counters.ccp_reset_requests += 1;
            counters.ccp_reset_requests
        })
    }

    /// Counts a CCP Reset-Ack of `sender`.
    pub(super) fn ccp_reset_ack(&mut self, sender: Party) {
        self.has_moved = true;
        self.change(sender, |counters| counters.ccp_reset_acks += 1);
    }

    /// When the counters were last read.
    pub(super) const fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// Whether anything moved since the last report.
    pub(super) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// What moved since the last report, in packets and bytes of one direction.
    pub(super) fn rate(&self, sender: Party) -> Rate {
        let (latest, reported) = (self.latest.of(sender), self.reported.of(sender));
        Rate {
            packets: latest.packets.saturating_sub(reported.packets),
            bytes: latest.bytes.saturating_sub(reported.bytes),
            lost: latest.lost.cast_signed().saturating_sub(reported.lost.cast_signed()),
        }
    }

    /// The counters, marked as reported.
    pub(super) fn report(&mut self, is_final: bool) -> GreStats {
        let PerParty { client, server } = self.latest.get();
        self.reported = PerParty { client: Reported::from(&client), server: Reported::from(&server) };
        self.has_moved = false;
        GreStats { from_client: client, from_server: server, is_final }
    }

    /// What `sender` sent.
    pub(super) fn of(&self, sender: Party) -> Counters {
        self.latest.of(sender)
    }

    /// Whether tunnelled packets passed in either direction.
    pub(super) fn carries_data(&self) -> bool {
        let latest = self.latest.get();
        latest.client.data_packets() > 0 || latest.server.data_packets() > 0
    }
}
