//! What the two ends of a call said to each other in PPP, as rules read it.

use std::net::Ipv4Addr;

use super::{Dossier, Echo, Tally, bump};
use crate::event::finding::quoted;
use crate::event::{Party, PerParty};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;
use crate::wire::ppp::ccp::{CcpOption, MppeBits};
use crate::wire::ppp::cp::{self, Body, TerminateReason};
use crate::wire::ppp::ipcp::IpcpOption;
use crate::wire::ppp::lcp::{AuthenticationMethod, LcpOption};
use crate::wire::ppp::{Frame, Protocol, chap, eap, pap};

/// Refusals remembered for each protocol.
const MAX_REFUSED: usize = 8;

/// A Terminate-Request: when, whose, and its reason.
pub(in crate::finding) type Terminated = (Timestamp, Party, Option<TerminateReason>);

/// The configure packets of one protocol, by who sent them.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Exchange {
    pub(in crate::finding) requests: PerParty<Tally>,
    pub(in crate::finding) acks: PerParty<Tally>,
    /// By who refused.
    pub(in crate::finding) refusals: PerParty<Seldom<Refusals>>,
    /// Why an end closed the layer.
    pub(in crate::finding) terminated: Option<Box<Terminated>>,
    /// Why the other end closed it, too: it had not heard yet, and may have another reason.
    terminated_too: Option<Box<Terminated>>,
    /// Requests of either end were acknowledged.
    pub(in crate::finding) opened: Option<Timestamp>,
    granted: PerParty<bool>,
}

impl Exchange {
    /// Whether `party` has answered a request of the other in any way.
    pub(in crate::finding) fn answers_of(&self, party: Party) -> u32 {
        self.acks.of(party).count + self.refusals.of(party).count()
    }

    /// The first Terminate-Request of each end.
    pub(in crate::finding) fn terminations(&self) -> impl Iterator<Item = &Terminated> {
        [&self.terminated, &self.terminated_too].into_iter().filter_map(Option::as_deref)
    }

    fn take<O>(&mut self, at: Timestamp, sender: Party, body: &Body<O>, name: impl Fn(&O) -> String) {
        match body {
            Body::ConfigureRequest { .. } => {
                bump(&mut self.requests, sender, at);
                *self.granted.of_mut(sender) = false;
            }
            Body::ConfigureAck { .. } => {
                bump(&mut self.acks, sender, at);
                *self.granted.of_mut(sender.peer()) = true;
                if self.granted.client && self.granted.server {
                    self.opened.get_or_insert(at);
                }
            }
            Body::ConfigureNak { options } => {
                let refusals = self.refusals.of_mut(sender);
                refusals.naks.add(at);
                refusals.name(options, name);
            }
            Body::ConfigureReject { options } => {
                let refusals = self.refusals.of_mut(sender);
                refusals.rejects.add(at);
                refusals.name(options, name);
            }
            Body::TerminateRequest { reason } => {
                let this = || Box::new((at, sender, reason.clone()));
                if self.terminated.get_or_insert_with(this).1 != sender {
                    self.terminated_too.get_or_insert_with(this);
                }
            }
            _ => {}
        }
    }
}

/// What one end of a layer refused of the other's requests.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Refusals {
    naks: Tally,
    rejects: Tally,
    /// Names of the options.
    pub(in crate::finding) options: Vec<String>,
}

seldom!(Refusals);

impl Refusals {
    pub(in crate::finding) const fn count(&self) -> u32 {
        self.naks.count + self.rejects.count
    }

    /// When the first of them came.
    pub(in crate::finding) fn since(&self) -> Option<Timestamp> {
        self.naks.since().or(self.rejects.since())
    }

    fn name<O>(&mut self, options: &[O], name: impl Fn(&O) -> String) {
        for name in options.iter().map(name) {
            if self.options.len() < MAX_REFUSED && !self.options.contains(&name) {
                self.options.reserve_exact(1);
                self.options.push(name);
            }
        }
    }
}

/// Link control.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Lcp {
    pub(in crate::finding) exchange: Exchange,
    /// Frames of any kind.
    pub(in crate::finding) frames: PerParty<Tally>,
    /// Configure-Requests since the last frame of the other end.
    pub(in crate::finding) unheard: Seldom<PerParty<Tally>>,
    pub(in crate::finding) magic: PerParty<Option<u32>>,
    /// Both ends show the same magic number, or an end got its own back.
    pub(in crate::finding) looped: Option<Timestamp>,
    /// MRU that the end was granted.
    pub(in crate::finding) mru: PerParty<Option<u16>>,
    /// The end takes frames without address and control field.
    pub(in crate::finding) acfc: PerParty<bool>,
    /// The end takes protocol fields of one byte.
    pub(in crate::finding) pfc: PerParty<bool>,
    pub(in crate::finding) echo: Seldom<Echo>,
    /// Protocols that an end does not speak, by who refused them.
    pub(in crate::finding) protocol_rejects: Seldom<PerParty<Vec<(Timestamp, Protocol)>>>,
}

seldom!(PerParty<Vec<(Timestamp, Protocol)>>);

/// A proof that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::finding) struct Proof {
    pub(in crate::finding) at: Timestamp,
    pub(in crate::finding) by: Party,
    /// Error of MS-CHAP.
    pub(in crate::finding) code: Option<chap::FailureCode>,
    pub(in crate::finding) words: String,
}

/// Authentication.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Auth {
    /// What each end demands of the other, as last asked for.
    pub(in crate::finding) wanted: PerParty<Option<AuthenticationMethod>>,
    /// What was agreed on.
    pub(in crate::finding) agreed: Option<AuthenticationMethod>,
    /// What an end offered instead, or that it refused to prove itself, by who refused.
    pub(in crate::finding) refused: Seldom<PerParty<Vec<(Timestamp, String)>>>,
    /// Challenges, or PAP and EAP requests, by who sent them.
    pub(in crate::finding) asked: PerParty<Tally>,
    pub(in crate::finding) answered: PerParty<Tally>,
    /// Challenges since the last answer of the other end.
    pub(in crate::finding) unanswered: Seldom<PerParty<Tally>>,
    pub(in crate::finding) accepted: Option<Timestamp>,
    pub(in crate::finding) rejected: Option<Box<Proof>>,
    /// The client wants none of the methods that EAP offers.
    pub(in crate::finding) eap_nak: Option<Timestamp>,
}

seldom!(PerParty<Vec<(Timestamp, String)>>);

/// Encryption.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Ccp {
    pub(in crate::finding) exchange: Exchange,
    /// MPPE that each end asked for, all its requests together.
    pub(in crate::finding) asked: PerParty<Option<MppeBits>>,
    /// MPPE that each end offered in a Nak.
    pub(in crate::finding) offered: PerParty<Option<MppeBits>>,
    /// Who refused MPPE as such, by a Configure-Reject of the option.
    pub(in crate::finding) mppe_rejected: PerParty<Option<Timestamp>>,
    /// What was agreed on; None inside: no encryption.
    pub(in crate::finding) agreed: Option<Option<MppeBits>>,
    pub(in crate::finding) reset_requests: Seldom<PerParty<Tally>>,
}

/// Addresses.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Ipcp {
    pub(in crate::finding) exchange: Exchange,
    /// Address that each end last asked for: it stays when the other refuses to talk about addresses at all.
    pub(in crate::finding) asked: PerParty<Option<Ipv4Addr>>,
    /// Address that each end last offered the other.
    pub(in crate::finding) offered: PerParty<Option<Ipv4Addr>>,
    /// Address that each end was granted.
    pub(in crate::finding) granted: PerParty<Option<Ipv4Addr>>,
}

/// Takes a negotiation frame.
pub(super) fn take(dossier: &mut Dossier, at: Timestamp, sender: Party, frame: &Frame) {
    match frame {
        Frame::Lcp(packet) => lcp(dossier, at, sender, packet),
        Frame::Pap(packet) => match &packet.body {
            pap::Body::AuthenticateRequest { .. } => answer(&mut dossier.auth, at, sender),
            pap::Body::AuthenticateAck { .. } => accept(&mut dossier.auth, at),
            pap::Body::AuthenticateNak { message } => {
                reject(&mut dossier.auth, at, sender, None, message);
            }
            pap::Body::Unknown { .. } => {}
        },
        Frame::Chap(packet) => match &packet.body {
            chap::Body::Challenge { .. } => ask(&mut dossier.auth, at, sender),
            chap::Body::Response { .. } => answer(&mut dossier.auth, at, sender),
            chap::Body::Success { .. } => accept(&mut dossier.auth, at),
            chap::Body::Failure { error, message, .. } => {
                reject(&mut dossier.auth, at, sender, *error, message);
            }
            _ => {}
        },
        Frame::Eap(packet) => match packet.code {
            eap::Code::Request => ask(&mut dossier.auth, at, sender),
            eap::Code::Response => {
                answer(&mut dossier.auth, at, sender);
                if !packet.desired.is_empty() || packet.kind.is_some_and(|kind| kind == eap::Type::Nak) {
                    dossier.auth.eap_nak.get_or_insert(at);
                }
            }
            eap::Code::Success => accept(&mut dossier.auth, at),
            eap::Code::Failure => reject(&mut dossier.auth, at, sender, None, ""),
            eap::Code::Unknown(_) => {}
        },
        Frame::Ccp(packet) => ccp(&mut dossier.ccp, at, sender, &packet.body),
        Frame::Ipcp(packet) => ipcp(&mut dossier.ipcp, at, sender, &packet.body),
        Frame::Cbcp(_) | Frame::Ipv6cp(_) | Frame::Other { .. } | Frame::Data { .. } => {}
    }
}

fn lcp(dossier: &mut Dossier, at: Timestamp, sender: Party, packet: &cp::Packet<LcpOption>) {
    let (lcp, auth) = (&mut dossier.lcp, &mut dossier.auth);
    bump(&mut lcp.frames, sender, at);
    clear(&mut lcp.unheard, sender.peer());
    lcp.exchange.take(at, sender, &packet.body, name_of);
    match &packet.body {
        Body::ConfigureRequest { options } => {
            bump(&mut lcp.unheard, sender, at);
            *auth.wanted.of_mut(sender) = method(options);
            if let Some(magic) = magic(options) {
                *lcp.magic.of_mut(sender) = Some(magic);
                if *lcp.magic.of(sender.peer()) == Some(magic) {
                    lcp.looped.get_or_insert(at);
                }
            }
        }
        Body::ConfigureAck { options } => {
            let asker = sender.peer();
            if let Some(method) = method(options) {
                auth.agreed = Some(method);
            }
            for option in options {
                match option {
                    LcpOption::Mru { mru } => *lcp.mru.of_mut(asker) = Some(*mru),
                    LcpOption::AddressControlFieldCompression => *lcp.acfc.of_mut(asker) = true,
                    LcpOption::ProtocolFieldCompression => *lcp.pfc.of_mut(asker) = true,
                    _ => {}
                }
            }
        }
        Body::ConfigureNak { options } => {
            if let Some(method) = method(options) {
                refuse_auth(auth, at, sender, format!("wants {method} instead"));
            }
        }
        Body::ConfigureReject { options } if method(options).is_some() => {
            refuse_auth(auth, at, sender, "refuses to authenticate itself".into());
        }
        Body::ProtocolReject { rejected_protocol } => {
            let rejects = lcp.protocol_rejects.of_mut(sender);
            if rejects.len() < MAX_REFUSED {
                rejects.push((at, *rejected_protocol));
            }
        }
        Body::EchoRequest { magic } => {
            lcp.echo.request(at, sender);
            if *magic != 0 && *lcp.magic.of(sender.peer()) == Some(*magic) {
                lcp.looped.get_or_insert(at);
            }
        }
        Body::EchoReply { .. } => {
            lcp.echo.reply(at, sender);
        }
        _ => {}
    }
}

fn ccp(ccp: &mut Ccp, at: Timestamp, sender: Party, body: &Body<CcpOption>) {
    ccp.exchange.take(at, sender, body, name_of);
    match body {
        Body::ConfigureRequest { options } => {
            if let Some(bits) = mppe(options) {
                let asked = ccp.asked.of_mut(sender);
                *asked =
                    Some(asked.map_or(bits, |before| MppeBits::from(u32::from(before) | u32::from(bits))));
            }
        }
        Body::ConfigureAck { options } => {
            let agreed = mppe(options);
            if agreed.is_some() || ccp.agreed.is_none() {
                ccp.agreed = Some(agreed);
            }
        }
        Body::ConfigureNak { options } => {
            if let Some(bits) = mppe(options) {
                *ccp.offered.of_mut(sender) = Some(bits);
            }
        }
        Body::ConfigureReject { options } if mppe(options).is_some() => {
            ccp.mppe_rejected.of_mut(sender).get_or_insert(at);
        }
        Body::ResetRequest => bump(&mut ccp.reset_requests, sender, at),
        _ => {}
    }
}

fn ipcp(ipcp: &mut Ipcp, at: Timestamp, sender: Party, body: &Body<IpcpOption>) {
    ipcp.exchange.take(at, sender, body, name_of);
    match body {
        Body::ConfigureRequest { options } => {
            let asked = ipcp.asked.of_mut(sender);
            *asked = address(options).or(*asked);
        }
        Body::ConfigureNak { options } => *ipcp.offered.of_mut(sender) = address(options),
        Body::ConfigureAck { options } => *ipcp.granted.of_mut(sender.peer()) = address(options),
        _ => {}
    }
}

/// Nothing of `party` waits any more.
fn clear(waiting: &mut Seldom<PerParty<Tally>>, party: Party) {
    let Some(both) = waiting.filled() else { return };
    *both.of_mut(party) = Tally::default();
    if *both == PerParty::default() {
        *waiting = Seldom::default();
    }
}

fn ask(auth: &mut Auth, at: Timestamp, sender: Party) {
    bump(&mut auth.asked, sender, at);
    bump(&mut auth.unanswered, sender, at);
}

fn answer(auth: &mut Auth, at: Timestamp, sender: Party) {
    bump(&mut auth.answered, sender, at);
    clear(&mut auth.unanswered, sender.peer());
}

fn accept(auth: &mut Auth, at: Timestamp) {
    auth.accepted.get_or_insert(at);
    auth.rejected = None;
    auth.unanswered = Seldom::default();
}

fn reject(auth: &mut Auth, at: Timestamp, by: Party, code: Option<chap::FailureCode>, message: &str) {
    let code_words = code.map(|code| format!("E={} {}", code.number(), code.name().replace('_', " ")));
    let message = Some(message.trim_end_matches('.')).filter(|message| !message.is_empty()).map(quoted);
    let words = code_words.into_iter().chain(message).collect::<Vec<_>>().join(", ");
    auth.rejected = Some(Box::new(Proof { at, by, code, words }));
}

fn refuse_auth(auth: &mut Auth, at: Timestamp, by: Party, words: String) {
    let refused = auth.refused.of_mut(by);
    if refused.len() < MAX_REFUSED {
        refused.push((at, words));
    }
}

fn method(options: &[LcpOption]) -> Option<AuthenticationMethod> {
    options.iter().find_map(|option| match option {
        LcpOption::AuthenticationProtocol { method } => Some(method.clone()),
        _ => None,
    })
}

fn magic(options: &[LcpOption]) -> Option<u32> {
    options.iter().find_map(|option| match option {
        LcpOption::MagicNumber { magic } => Some(*magic),
        _ => None,
    })
}

fn mppe(options: &[CcpOption]) -> Option<MppeBits> {
    options.iter().find_map(|option| match option {
        CcpOption::Mppe { bits } => Some(*bits),
        _ => None,
    })
}

fn address(options: &[IpcpOption]) -> Option<Ipv4Addr> {
    options.iter().find_map(|option| match option {
        IpcpOption::IpAddress { address } => Some(*address),
        _ => None,
    })
}

/// The name of an option, as the events have it.
fn name_of<O: serde::Serialize>(option: &O) -> String {
    let value = serde_json::to_value(option).unwrap_or_default();
    value.get("option").and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned()
}
