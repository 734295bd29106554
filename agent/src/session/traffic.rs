//! The GRE counters of a call, as the flow map gives them.

use crate::event::gre::{Counters, GreStats};
use crate::event::session::Rate;
use crate::event::{Party, PerParty};
use crate::observation::{Direction, Flow};

/// Counters of both directions, and what of them was reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    latest: PerParty<Counters>,
    reported: PerParty<Counters>,
    sighting: PerParty<Option<Direction>>,
}

impl Traffic {
    /// Whether packets of `sender` that pass this host in `direction` are to be taken. A host that
    /// forwards a call sees each packet twice, coming in and going out: the first sighting decides
    /// which of the two is followed.
    pub(super) fn follows(&mut self, sender: Party, direction: Direction) -> bool {
        *self.sighting.of_mut(sender).get_or_insert(direction) == direction
    }

    /// Takes the latest counters of what `sender` sent.
    pub(super) fn update(&mut self, sender: Party, flow: &Flow) {
        *self.latest.of_mut(sender) = Counters::from(flow);
    }

    /// Whether anything moved since the last report.
    pub(super) fn has_moved(&self) -> bool {
        self.latest != self.reported
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
        self.reported = self.latest;
        GreStats { from_client: self.latest.client, from_server: self.latest.server, is_final }
    }

    /// What `sender` sent.
    pub(super) fn of(&self, sender: Party) -> Counters {
        *self.latest.of(sender)
    }

    /// Whether tunnelled packets passed in either direction.
    pub(super) fn carries_data(&self) -> bool {
        self.latest.client.data_packets() > 0 || self.latest.server.data_packets() > 0
    }
}
