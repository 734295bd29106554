//! What the two ends of a call agreed on, layer by layer.
//!
//! Each end asks for its own options with Configure-Request and is granted them by the other's
//! Configure-Ack; a layer is open when both were (RFC 1661, section 4). So what one end *sends*
//! says what holds for what it *receives*.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::event::session::Mppe;
use crate::event::{Party, PerParty};

/// GRE sequence numbers of negotiation frames remembered for each end, to know a copy.
const RECENT: usize = 16;

/// One layer: what each end asked for and was granted.
#[derive(Clone, Debug)]
pub(super) struct Layer<T> {
    granted: PerParty<Option<T>>,
}

impl<T> Default for Layer<T> {
    fn default() -> Self {
        Self { granted: PerParty { client: None, server: None } }
    }
}

impl<T> Layer<T> {
    /// `by` asks (again). An open layer is closed by that; returns whether it was open.
    pub(super) fn request(&mut self, by: Party) -> bool {
        let was_open = self.is_open();
        if was_open {
            *self = Self::default();
        } else {
            *self.granted.of_mut(by) = None;
        }
        was_open
    }

    /// What `by` asked for was granted.
    pub(super) fn grant(&mut self, by: Party, options: T) {
        *self.granted.of_mut(by) = Some(options);
    }

    /// Whether both ends were granted what they asked for.
    pub(super) const fn is_open(&self) -> bool {
        self.granted.client.is_some() && self.granted.server.is_some()
    }

    /// What `by` was granted.
    fn of(&self, by: Party) -> Option<&T> {
        self.granted.of(by).as_ref()
    }
}

/// State of a call's negotiation.
#[derive(Clone, Debug, Default)]
pub(super) struct Negotiation {
    /// Authentication protocol that the end demands of the other, if it does.
    pub(super) lcp: Layer<Option<String>>,
    /// MPPE that the end wants to receive, if it does.
    pub(super) ccp: Layer<Option<Mppe>>,
    /// Address of the end.
    pub(super) ipcp: Layer<Option<Ipv4Addr>>,
    user: Option<String>,
    failed_by: Option<Party>,
    recent: PerParty<VecDeque<u32>>,
}

impl Negotiation {
    /// Name that the client gave.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The client gave its name.
    pub(super) fn set_user(&mut self, name: &str) {
        if self.user.as_deref() != Some(name) {
            self.user = Some(name.to_owned());
        }
    }

    /// The authentication protocol that was agreed on; what the server demands comes first.
    pub(super) fn auth_protocol(&self) -> Option<String> {
        let demanded_by = |party| self.lcp.of(party).cloned().flatten();
        demanded_by(Party::Server).or_else(|| demanded_by(Party::Client))
    }

    /// Encryption that was agreed on. Both directions have the same in practice; the direction
    /// towards the server counts where they differ.
    pub(super) fn mppe(&self) -> Option<Mppe> {
        let received_by = |party| self.ccp.of(party).copied().flatten();
        received_by(Party::Server).or_else(|| received_by(Party::Client))
    }

    /// Address of one end inside the tunnel.
    pub(super) fn address_of(&self, party: Party) -> Option<Ipv4Addr> {
        self.ipcp.of(party).copied().flatten()
    }

    /// The last proof was refused by this end, and none was accepted since.
    pub(super) const fn authentication_failed_by(&self) -> Option<Party> {
        self.failed_by
    }

    /// `by` refused the other's proof.
    pub(super) const fn authentication_failed(&mut self, by: Party) {
        self.failed_by = Some(by);
    }

    /// A proof was accepted.
    pub(super) const fn authenticated(&mut self) {
        self.failed_by = None;
    }

    /// Whether `sender` sent this GRE sequence number with a negotiation frame before: then the
    /// network made a copy, which neither end takes.
    pub(super) fn is_copy(&mut self, sender: Party, gre_sequence: u32) -> bool {
        let recent = self.recent.of_mut(sender);
        if recent.contains(&gre_sequence) {
            return true;
        }
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(gre_sequence);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_open_when_both_were_granted() {
        let mut layer = Layer::default();
        assert!(!layer.request(Party::Client));
        assert!(!layer.request(Party::Server));
        layer.grant(Party::Client, 1);
        assert!(!layer.is_open());
        // Refused and asked again: the other end's grant stays.
        assert!(!layer.request(Party::Server));
        layer.grant(Party::Server, 2);
        assert!(layer.is_open());
        assert!(layer.request(Party::Client));
        assert!(!layer.is_open() && layer.of(Party::Server).is_none());
    }

    #[test]
    fn knows_copies_among_the_recent_ones() {
        let mut negotiation = Negotiation::default();
        assert!(!negotiation.is_copy(Party::Client, 7));
        assert!(!negotiation.is_copy(Party::Server, 7));
        assert!(negotiation.is_copy(Party::Client, 7));
        for number in 100..100 + RECENT as u32 {
            assert!(!negotiation.is_copy(Party::Client, number));
        }
        assert!(!negotiation.is_copy(Party::Client, 7));
    }
}
