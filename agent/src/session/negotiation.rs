//! What the two ends of a call negotiate, layer by layer: who asked for what, who refused what, what both
//! agreed on, how long each took, and how they prove who they are.
//!
//! This is what the account of a call (`ppp.summary`, `auth.result`, `session.end`) and every conclusion
//! about it are made of. Its memory is bounded: lists are cut, and what was cut is counted.

mod copies;
mod layer;
mod proof;

use std::net::Ipv4Addr;
use std::sync::Arc;

pub(super) use layer::Answer;
pub use layer::{Asking, Layer};
pub use proof::Proofs;
pub(super) use proof::Verdict;

use super::echo::Echoes;
use crate::event::auth::AuthResult;
use crate::event::control::{ControlResult, Peer};
use crate::event::ppp::{Summary, Termination};
use crate::event::session::{LinkState, Mppe};
use crate::event::{Party, PerParty};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;
use crate::wire::ppp::Protocol;
use crate::wire::ppp::ccp::{CcpOption, MppeBits};
use crate::wire::ppp::cp::TerminateReason;
use crate::wire::ppp::ipcp::IpcpOption;
use crate::wire::ppp::ipv6cp::Ipv6cpOption;
use crate::wire::ppp::lcp::{AuthenticationMethod, LcpOption};
use crate::wire::ppp::ras::RasError;
use copies::Copies;

/// Bytes of a name or message kept at most.
const MAX_TEXT: usize = 256;

seldom!(Layer<Ipv6cpOption>);
seldom!(Proofs);
seldom!(Echoes);

/// State of a call's negotiation.
#[derive(Clone, Debug, Default)]
pub struct Negotiation {
    /// The link.
    pub lcp: Layer<LcpOption>,
    /// Encryption.
    pub ccp: Layer<CcpOption>,
    /// IPv4 addresses.
    pub ipcp: Layer<IpcpOption>,
    /// IPv6 addresses.
    pub ipv6cp: Seldom<Layer<Ipv6cpOption>>,
    /// How each end proves who it is; in nearly every call only the client does.
    pub proofs: PerParty<Seldom<Proofs>>,
    /// Keep-alives in the tunnel.
    pub lcp_echo: Seldom<Echoes>,
    /// Keep-alives on the control connection.
    pub control_echo: Seldom<Echoes>,
    /// Software at the two ends, by how they introduced themselves.
    pub peers: PerParty<Option<Arc<Peer>>>,
    /// What the client said about its LCP on the control connection.
    pub client_lcp: Option<LinkState>,
    /// The control message that refused or ended the call.
    pub control_result: Option<Box<ControlResult>>,
    /// The first Terminate-Request.
    pub termination: Option<Box<Termination>>,
    failed_by: Option<Party>,
    copies: PerParty<Copies>,
}

impl Negotiation {
    /// Name that the client gave.
    pub fn user(&self) -> Option<&str> {
        self.proofs.client.identity()
    }

    /// How `authenticator` demanded of the other end to prove who it is, as LCP agreed.
    pub fn method_demanded_by(&self, authenticator: Party) -> Option<&AuthenticationMethod> {
        self.lcp.of(authenticator).agreed()?.iter().find_map(|option| match option {
            LcpOption::AuthenticationProtocol { method } => Some(method),
            _ => None,
        })
    }

    /// The authentication protocol that was agreed on; what the server demands comes first.
    pub fn auth_protocol(&self) -> Option<String> {
        let demanded_by = |party| self.method_demanded_by(party).map(ToString::to_string);
        demanded_by(Party::Server).or_else(|| demanded_by(Party::Client))
    }

    /// Encryption that was agreed on. Both directions have the same in practice; the direction
    /// towards the server counts where they differ.
    pub fn mppe(&self) -> Option<Mppe> {
        let received_by = |party| mppe(self.ccp.of(party).agreed()?);
        received_by(Party::Server).or_else(|| received_by(Party::Client))
    }

    /// Address of one end inside the tunnel.
    pub fn address_of(&self, party: Party) -> Option<Ipv4Addr> {
        self.ipcp.of(party).agreed()?.iter().find_map(|option| match option {
            IpcpOption::IpAddress { address } => Some(*address),
            _ => None,
        })
    }

    /// The last proof was refused by this end, and none was accepted since.
    pub const fn authentication_failed_by(&self) -> Option<Party> {
        self.failed_by
    }

    /// What became of each layer of which something was seen, as far as it is known.
    pub fn summaries(&self) -> Vec<Summary> {
        let layers = [
            self.lcp.account().map(Summary::Lcp),
            self.ccp.account().map(Summary::Ccp),
            self.ipcp.account().map(Summary::Ipcp),
            self.ipv6cp.account().map(Summary::Ipv6cp),
        ];
        layers.into_iter().flatten().collect()
    }

    /// Layers whose outcome has not been reported yet.
    pub(super) fn report(&mut self) -> impl Iterator<Item = Summary> + use<> {
        let layers = [
            self.lcp.report().map(Summary::Lcp),
            self.ccp.report().map(Summary::Ccp),
            self.ipcp.report().map(Summary::Ipcp),
            self.ipv6cp.filled().and_then(Layer::report).map(Summary::Ipv6cp),
        ];
        layers.into_iter().flatten()
    }

    /// `by` does not speak `protocol`.
    pub(super) fn reject(&mut self, at: Timestamp, by: Party, protocol: Protocol) {
        match protocol {
            Protocol::Ccp => self.ccp.reject(at, by),
            Protocol::Ipcp => self.ipcp.reject(at, by),
            Protocol::Ipv6cp => self.ipv6cp.reject(at, by),
            _ => {}
        }
    }

    /// `by` closes a layer.
    pub(super) fn terminate(&mut self, by: Party, protocol: Protocol, reason: Option<&TerminateReason>) {
        if self.termination.is_some() {
            return;
        }
        let mut termination = Termination { by, protocol, text: None, error: None, error_code: None };
        match reason {
            Some(TerminateReason::Text(text)) => termination.text = Some(bounded(text)),
            Some(TerminateReason::Microsoft { error, .. }) => {
                termination.error = Some(RasError::from(*error));
                termination.error_code = Some(*error);
            }
            None => {}
        }
        self.termination = Some(Box::new(termination));
    }

    /// The proof of the end that is not `by` ended; a refusal is remembered until another is accepted.
    pub(super) fn judged(
        &mut self,
        at: Timestamp,
        by: Party,
        id: u8,
        verdict: &Verdict,
    ) -> Option<AuthResult> {
        self.failed_by = (!verdict.accepted).then_some(by);
        let method = self.method_demanded_by(by).cloned();
        self.proofs.of_mut(by.peer()).result(at, id, verdict, by, method.as_ref())
    }

    /// Nothing more will come: layers that did not open and proofs under way are decided.
    pub(super) fn give_up(&mut self, at: Timestamp) -> Vec<AuthResult> {
        self.lcp.give_up(at);
        self.ccp.give_up(at);
        self.ipcp.give_up(at);
        if let Some(ipv6cp) = self.ipv6cp.filled() {
            ipv6cp.give_up(at);
        }
        let mut give_up = |authenticator: Party| {
            let method = self.method_demanded_by(authenticator).cloned();
            self.proofs.of_mut(authenticator.peer()).filled()?.give_up(authenticator, method.as_ref())
        };
        [give_up(Party::Server), give_up(Party::Client)].into_iter().flatten().collect()
    }

    /// Whether `sender` sent this GRE sequence number with a negotiation frame before: then the
    /// network made a copy, which neither end takes.
    pub(super) fn is_copy(&mut self, sender: Party, gre_sequence: u32) -> bool {
        self.copies.of_mut(sender).is_copy(gre_sequence)
    }
}

/// As much of a peer's text as is kept.
fn bounded(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

/// The encryption among options of CCP.
pub fn mppe(options: &[CcpOption]) -> Option<Mppe> {
    options.iter().find_map(|option| match option {
        CcpOption::Mppe { bits } => {
            Some(Mppe { bits: bits.key_bits()?.into(), stateful: !bits.contains(MppeBits::STATELESS) })
        }
        _ => None,
    })
}

#[cfg(test)]
impl Negotiation {
    /// Whether all that is kept is within its bounds.
    pub(super) fn is_bounded(&self) -> bool {
        [Party::Client, Party::Server].into_iter().all(|party| {
            let texts = [
                self.proofs.of(party).identity(),
                self.termination.as_ref().and_then(|termination| termination.text.as_deref()),
            ];
            self.lcp.of(party).is_bounded()
                && self.ccp.of(party).is_bounded()
                && self.ipcp.of(party).is_bounded()
                && self.ipv6cp.of(party).is_bounded()
                && texts.into_iter().flatten().all(|text| text.len() <= MAX_TEXT)
        })
    }
}

#[cfg(test)]
mod tests;
