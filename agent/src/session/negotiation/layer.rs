//! One layer of PPP: what each end asks for, what the other refuses, and whether both agree
//! (RFC 1661, section 4).

use crate::event::ppp::{self, Outcome, Refused};
use crate::event::{Party, PerParty};
use crate::time::Timestamp;
use crate::wire::ppp::cp::ConfigureOption;

/// Options of one list kept at most.
const MAX_OPTIONS: usize = 24;
/// Bytes of the values of one list kept at most; no sound request has as many.
const MAX_OPTION_BYTES: usize = 512;
/// Refusals of one end kept at most.
const MAX_REFUSED: usize = 12;
/// An answer with an identifier so far ahead of the last request answers one that was not seen.
const MAX_AHEAD: u8 = 16;

/// What an end answers to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Answer {
    Ack,
    Nak,
    Reject,
}

/// What one end asks for.
#[derive(Clone, Debug)]
pub struct Asking<O> {
    /// Configure-Requests, and those among them that repeat an unanswered one.
    requests: u32,
    retransmissions: u32,
    acks: u32,
    naks: u32,
    rejects: u32,
    /// These lists stay as they are for as long as the call lives: they have no room for more.
    offered: Box<[O]>,
    agreed: bool,
    refused: Box<[Refused<O>]>,
    left_out: u32,
    /// Identifier of the last request.
    id: u8,
    /// When that was first sent, until it is answered.
    unanswered_since: Option<Timestamp>,
    /// The longest time to an answer; of no meaning before `is_timed`.
    answer_max_ns: u64,
    is_timed: bool,
}

impl<O> Default for Asking<O> {
    fn default() -> Self {
        Self {
            requests: 0,
            retransmissions: 0,
            acks: 0,
            naks: 0,
            rejects: 0,
            offered: Box::default(),
            agreed: false,
            refused: Box::default(),
            left_out: 0,
            id: 0,
            unanswered_since: None,
            answer_max_ns: 0,
            is_timed: false,
        }
    }
}

impl<O: ConfigureOption + Clone + PartialEq> Asking<O> {
    /// Options of the last request.
    pub fn offered(&self) -> &[O] {
        &self.offered
    }

    /// Options that the other end agreed to; None while it has not.
    pub fn agreed(&self) -> Option<&[O]> {
        self.agreed.then_some(&*self.offered)
    }

    /// Options that the other end refused on the way.
    pub fn refused(&self) -> &[Refused<O>] {
        &self.refused
    }

    /// Configure-Requests sent.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// Answers that the other end gave.
    pub const fn answers(&self) -> u32 {
        self.acks.saturating_add(self.naks).saturating_add(self.rejects)
    }

    /// Configure-Requests without an answer.
    pub const fn unanswered(&self) -> u32 {
        self.requests.saturating_sub(self.answers())
    }

    fn request(&mut self, at: Timestamp, id: u8, options: &[O]) {
        let (kept, left_out) = bounded(options);
        self.requests = self.requests.saturating_add(1);
        if self.unanswered_since.is_some() && self.offered == kept {
            self.retransmissions = self.retransmissions.saturating_add(1);
        } else {
            self.unanswered_since = Some(at);
        }
        self.id = id;
        self.agreed = false;
        self.offer(kept, left_out);
    }

    fn offer(&mut self, kept: Box<[O]>, left_out: u32) {
        self.offered = kept;
        self.left_out = self.left_out.saturating_add(left_out);
    }

    /// Takes an answer; false when it belongs to a request of long ago (RFC 1661, section 5.2: it is
    /// discarded).
    fn answer(&mut self, at: Timestamp, id: u8, answer: Answer, options: &[O]) -> bool {
        let (kept, left_out) = bounded(options);
        let missed = self.requests == 0 || (1..=MAX_AHEAD).contains(&id.wrapping_sub(self.id));
        if missed {
            // Its request was not seen: an Ack shows what was in it.
            self.requests = self.requests.saturating_add(1);
            self.id = id;
            self.unanswered_since = None;
            if answer == Answer::Ack {
                self.offer(kept.clone(), left_out);
            }
        } else if id != self.id && !(answer == Answer::Ack && kept == self.offered) {
            return false;
        }
        if let Some(since) = self.unanswered_since.take() {
            self.answer_max_ns = self.answer_max_ns.max(at.ns_since(since));
            self.is_timed = true;
        }
        match answer {
            Answer::Ack => {
                self.acks = self.acks.saturating_add(1);
                self.agreed = true;
            }
            Answer::Nak => {
                self.naks = self.naks.saturating_add(1);
                for suggested in kept {
                    let kind = suggested.encode().0;
                    let offered = self.offered.iter().find(|option| option.encode().0 == kind).cloned();
                    self.refuse(offered, Some(suggested));
                }
            }
            Answer::Reject => {
                self.rejects = self.rejects.saturating_add(1);
                for offered in kept {
                    self.refuse(Some(offered), None);
                }
            }
        }
        true
    }

    fn refuse(&mut self, offered: Option<O>, suggested: Option<O>) {
        let known = self
            .refused
            .iter_mut()
            .find(|refused| refused.offered == offered && refused.suggested == suggested);
        if let Some(known) = known {
            known.times = known.times.saturating_add(1);
        } else if self.refused.len() < MAX_REFUSED {
            let mut refused = std::mem::take(&mut self.refused).into_vec();
            refused.reserve_exact(1);
            refused.push(Refused { offered, suggested, times: 1 });
            self.refused = refused.into_boxed_slice();
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn side(&self) -> ppp::Side<O> {
        ppp::Side {
            requests: self.requests,
            retransmissions: self.retransmissions,
            unanswered: self.unanswered(),
            acks: self.acks,
            naks: self.naks,
            rejects: self.rejects,
            offered: self.offered.to_vec(),
            agreed: self.agreed,
            refused: self.refused.to_vec(),
            left_out: self.left_out,
            answer_max_ns: self.is_timed.then_some(self.answer_max_ns),
        }
    }
}

#[cfg(test)]
impl<O: ConfigureOption + Clone + PartialEq> Asking<O> {
    pub(super) fn is_bounded(&self) -> bool {
        let bytes: usize = self.offered.iter().map(|option| option.encode().1.len()).sum();
        self.offered.len() <= MAX_OPTIONS && bytes <= MAX_OPTION_BYTES && self.refused.len() <= MAX_REFUSED
    }
}

/// As many options as are kept, and how many are not.
fn bounded<O: ConfigureOption + Clone>(options: &[O]) -> (Box<[O]>, u32) {
    let mut bytes = 0;
    let fit = options.iter().take(MAX_OPTIONS).take_while(|option| {
        bytes += option.encode().1.len();
        bytes <= MAX_OPTION_BYTES
    });
    let kept = fit.count();
    (options.iter().take(kept).cloned().collect(), (options.len() - kept) as u32)
}

/// The negotiation of one layer, from the first request to the last. It begins anew when an open layer is
/// asked again.
#[derive(Clone, Debug)]
pub struct Layer<O> {
    asking: PerParty<Asking<O>>,
    began: Option<Timestamp>,
    /// Who does not speak the protocol.
    rejected_by: Option<Party>,
    /// Who closed it, while it was not open.
    terminated_by: Option<Party>,
    /// When what became of it was first known.
    decided: Option<(Timestamp, Outcome)>,
    reported: bool,
}

impl<O> Default for Layer<O> {
    fn default() -> Self {
        Self {
            asking: PerParty { client: Asking::default(), server: Asking::default() },
            began: None,
            rejected_by: None,
            terminated_by: None,
            decided: None,
            reported: false,
        }
    }
}

impl<O> Layer<O> {
    /// Whether both ends were granted what they asked for.
    pub const fn is_open(&self) -> bool {
        self.asking.client.agreed && self.asking.server.agreed
    }

    /// Who does not speak the protocol (LCP Protocol-Reject).
    pub const fn rejected_by(&self) -> Option<Party> {
        self.rejected_by
    }

    /// Who closed the layer before it was open.
    pub const fn terminated_by(&self) -> Option<Party> {
        self.terminated_by
    }
}

impl<O: ConfigureOption + Clone + PartialEq> Layer<O> {
    /// What `party` asks for.
    pub const fn of(&self, party: Party) -> &Asking<O> {
        self.asking.of(party)
    }

    /// `by` asks (again). An open layer is closed by that. Returns whether a negotiation begins with it.
    pub(in crate::session) fn request(&mut self, at: Timestamp, by: Party, id: u8, options: &[O]) -> bool {
        if self.is_open() {
            *self = Self::default();
        }
        let begins = self.began.is_none();
        self.began.get_or_insert(at);
        self.rejected_by = None;
        self.terminated_by = None;
        self.asking.of_mut(by).request(at, id, options);
        begins
    }

    /// `by` answers a request of the other end; returns whether the layer is open now.
    pub(in crate::session) fn answer(
        &mut self,
        at: Timestamp,
        by: Party,
        id: u8,
        answer: Answer,
        options: &[O],
    ) -> bool {
        let was_open = self.is_open();
        self.began.get_or_insert(at);
        self.asking.of_mut(by.peer()).answer(at, id, answer, options);
        let opened = self.is_open() && !was_open;
        if opened {
            self.decided = Some((at, Outcome::Opened));
            self.reported = false;
        }
        opened
    }

    /// `by` does not speak the protocol.
    pub(in crate::session) fn reject(&mut self, at: Timestamp, by: Party) {
        self.rejected_by = Some(by);
        self.decide(at, Outcome::Rejected);
    }

    /// `by` closes the layer.
    pub(in crate::session) fn terminate(&mut self, at: Timestamp, by: Party) {
        if !self.is_open() {
            self.terminated_by.get_or_insert(by);
            self.decide(at, Outcome::Terminated);
        }
    }

    /// Nothing more will come.
    pub(in crate::session) fn give_up(&mut self, at: Timestamp) {
        if self.began.is_none() || self.decided.is_some() {
            return;
        }
        let is_unanswered = |asking: &Asking<O>| asking.requests > 0 && asking.answers() == 0;
        let silent = is_unanswered(&self.asking.client) || is_unanswered(&self.asking.server);
        self.decide(at, if silent { Outcome::Unanswered } else { Outcome::NotAgreed });
    }

    fn decide(&mut self, at: Timestamp, outcome: Outcome) {
        if self.began.is_some() && self.decided.is_none() {
            self.decided = Some((at, outcome));
            self.reported = false;
        }
    }

    /// The account of the layer, once for each outcome.
    pub(in crate::session) fn report(&mut self) -> Option<ppp::Layer<O>> {
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        let account = self.account();
        self.reported = account.is_some();
        account
    }

    /// The account of the layer; None before its outcome is known.
    pub fn account(&self) -> Option<ppp::Layer<O>> {
        let (at, outcome) = self.decided?;
        let by = match outcome {
            Outcome::Rejected => self.rejected_by,
            Outcome::Terminated => self.terminated_by,
            Outcome::Opened | Outcome::NotAgreed | Outcome::Unanswered => None,
        };
        Some(ppp::Layer {
            outcome,
            by,
            negotiation_ns: self.began.map_or(0, |began| at.ns_since(began)),
            client: self.asking.client.side(),
            server: self.asking.server.side(),
        })
    }
}
