//! One end proves to the other who it is: PAP (RFC 1334), CHAP (RFC 1994, RFC 2433, RFC 2759), EAP
//! (RFC 3748).
//!
//! With CHAP and EAP the authenticator asks until it is answered, and then answers itself; with PAP the
//! other end begins. The time to its answer is the user's machine, the time from there to the result is
//! the authenticator and whatever it asks, such as RADIUS.

use super::bounded;
use crate::event::Party;
use crate::event::auth::{AuthResult, Outcome};
use crate::time::Timestamp;
use crate::wire::ppp::chap::FailureCode;
use crate::wire::ppp::lcp::AuthenticationMethod;

/// What an authenticator says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Verdict {
    pub(in crate::session) accepted: bool,
    pub(in crate::session) error: Option<FailureCode>,
    pub(in crate::session) retry: Option<bool>,
    pub(in crate::session) message: String,
}

/// The proofs of one end of a call, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    identity: Option<String>,
    method: Option<AuthenticationMethod>,
    attempts: u32,
    challenges: u32,
    challenge_retransmissions: u32,
    responses: u32,
    response_retransmissions: u32,
    challenge: Option<(u8, Timestamp)>,
    response: Option<(u8, Timestamp)>,
    response_ns: Option<u64>,
    /// `E=` and `R=` of MS-CHAPv2 inside EAP, which come before its Failure.
    announced: Option<(FailureCode, Option<bool>)>,
    /// Identifier and outcome of the last result.
    concluded: Option<(u8, Outcome)>,
}

impl Proofs {
    /// Name that the end gave.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Outcome of the last proof; None before the first.
    pub fn last(&self) -> Option<Outcome> {
        self.concluded.map(|(_, outcome)| outcome)
    }

    /// Whether a challenge waits for its response.
    pub const fn is_challenged(&self) -> bool {
        self.challenge.is_some() && self.response.is_none()
    }

    /// Challenges that were sent again because no response came, in the proof that is going on.
    pub const fn challenge_retransmissions(&self) -> u32 {
        self.challenge_retransmissions
    }

    /// The authenticator asks.
    pub(in crate::session) fn challenge(&mut self, at: Timestamp, id: u8) {
        let is_repeated = self.challenge.is_some_and(|(known, _)| known == id || self.response.is_none());
        if is_repeated {
            self.challenge_retransmissions = self.challenge_retransmissions.saturating_add(1);
            self.challenge = self.challenge.map(|(_, since)| (id, since));
        } else {
            self.challenges = self.challenges.saturating_add(1);
            self.challenge = Some((id, at));
            self.response = None;
        }
    }

    /// The end answers, or begins itself (PAP).
    pub(in crate::session) fn response(
        &mut self,
        at: Timestamp,
        id: u8,
        method: Option<AuthenticationMethod>,
    ) {
        let is_again = self.challenge.is_none()
            && self.response.is_none()
            && self.concluded.is_some_and(|(known, outcome)| known == id && outcome == Outcome::Success);
        if is_again {
            // The result was lost, and comes again.
            return;
        }
        if method.is_some() {
            self.method = method;
        }
        if self.response.is_some() {
            self.response_retransmissions = self.response_retransmissions.saturating_add(1);
            return;
        }
        self.responses = self.responses.saturating_add(1);
        self.response = Some((id, at));
        self.response_ns = self.challenge.map(|(_, since)| at.ns_since(since));
    }

    /// The end gives a name.
    pub(in crate::session) fn set_identity(&mut self, name: &str) {
        if self.identity.as_deref() != Some(name) {
            self.identity = Some(bounded(name));
        }
    }

    /// MS-CHAPv2 inside EAP says why it will fail.
    pub(in crate::session) const fn announce(&mut self, error: FailureCode, retry: Option<bool>) {
        self.announced = Some((error, retry));
    }

    /// The authenticator decides. None when it says again what it said before.
    pub(in crate::session) fn result(
        &mut self,
        at: Timestamp,
        id: u8,
        verdict: &Verdict,
        authenticator: Party,
        agreed: Option<&AuthenticationMethod>,
    ) -> Option<AuthResult> {
        if self.challenge.is_none() && self.response.is_none() && self.concluded.is_some() {
            return None;
        }
        let outcome = if verdict.accepted { Outcome::Success } else { Outcome::Failure };
        let announced = self.announced.filter(|_| !verdict.accepted);
        let error = verdict.error.or(announced.map(|(error, _)| error));
        let mut result = self.conclude(outcome, authenticator, agreed);
        result.error = error;
        result.error_code = error.map(FailureCode::number);
        result.retry_allowed = verdict.retry.or(announced.and_then(|(_, retry)| retry));
        result.message = (!verdict.message.is_empty()).then(|| bounded(&verdict.message));
        result.result_ns = self.response.map(|(_, since)| at.ns_since(since));
        self.begin_anew(Some((id, outcome)));
        if result.retry_allowed == Some(true) {
            // The failure holds a new challenge (RFC 2759, section 6).
            self.challenge = Some((id, at));
            self.challenges = 1;
        }
        Some(result)
    }

    /// The call closes with a proof under way.
    pub(in crate::session) fn give_up(
        &mut self,
        authenticator: Party,
        agreed: Option<&AuthenticationMethod>,
    ) -> Option<AuthResult> {
        let after_failure = self.concluded.is_some_and(|(_, outcome)| outcome == Outcome::Failure);
        let outcome = match (self.challenge, self.response) {
            (_, Some(_)) => Outcome::NoResult,
            // Who does not try again after a refusal has decided so.
            (Some(_), None) if !after_failure => Outcome::NoResponse,
            _ => return None,
        };
        let result = self.conclude(outcome, authenticator, agreed);
        self.begin_anew(self.concluded.or(Some((0, outcome))));
        Some(result)
    }

    fn conclude(
        &mut self,
        outcome: Outcome,
        authenticator: Party,
        agreed: Option<&AuthenticationMethod>,
    ) -> AuthResult {
        self.attempts = self.attempts.saturating_add(1);
        AuthResult {
            authenticator,
            protocol: agreed.cloned().or_else(|| self.method.clone()),
            identity: self.identity.clone(),
            outcome,
            error: None,
            error_code: None,
            retry_allowed: None,
            message: None,
            attempt: self.attempts,
            challenges: self.challenges,
            challenge_retransmissions: self.challenge_retransmissions,
            responses: self.responses,
            response_retransmissions: self.response_retransmissions,
            response_ns: self.response_ns,
            result_ns: None,
        }
    }

    fn begin_anew(&mut self, concluded: Option<(u8, Outcome)>) {
        let Self { identity, method, attempts, .. } = std::mem::take(self);
        *self = Self { identity, method, attempts, concluded, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Party = Party::Server;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ns(ms * 1_000_000)
    }

    fn accepted() -> Verdict {
        Verdict { accepted: true, ..Verdict::default() }
    }

    #[test]
    fn times_and_repetitions() {
        let mut proofs = Proofs::default();
        proofs.challenge(at(0), 1);
        proofs.challenge(at(3000), 2);
        assert!(proofs.is_challenged());
        proofs.response(at(3040), 2, None);
        proofs.response(at(6040), 2, None);
        let result = proofs.result(at(6050), 2, &accepted(), SERVER, None).unwrap();
        assert_eq!((result.challenges, result.challenge_retransmissions), (1, 1));
        assert_eq!((result.responses, result.response_retransmissions), (1, 1));
        assert_eq!((result.response_ns, result.result_ns), (Some(3_040_000_000), Some(3_010_000_000)));
        // The result was lost: response and result come again, and are no second proof.
        proofs.response(at(6060), 2, None);
        assert_eq!(proofs.result(at(6070), 2, &accepted(), SERVER, None), None);
        assert_eq!(proofs.give_up(SERVER, None), None);
    }

    #[test]
    fn a_refusal_that_allows_another_try_is_a_challenge() {
        let mut proofs = Proofs::default();
        proofs.challenge(at(0), 1);
        proofs.response(at(10), 1, None);
        let refused = Verdict { error: Some(691.into()), retry: Some(true), ..Verdict::default() };
        let first = proofs.result(at(20), 1, &refused, SERVER, None).unwrap();
        assert_eq!((first.error_code, first.attempt, first.outcome), (Some(691), 1, Outcome::Failure));
        proofs.response(at(5020), 2, None);
        let second = proofs.result(at(5030), 2, &accepted(), SERVER, None).unwrap();
        assert_eq!((second.attempt, second.outcome), (2, Outcome::Success));
        assert_eq!((second.response_ns, second.result_ns), (Some(5_000_000_000), Some(10_000_000)));
    }

    #[test]
    fn silence_has_an_owner() {
        let mut proofs = Proofs::default();
        proofs.challenge(at(0), 1);
        assert_eq!(proofs.clone().give_up(SERVER, None).unwrap().outcome, Outcome::NoResponse);
        proofs.response(at(10), 1, None);
        assert_eq!(proofs.give_up(SERVER, None).unwrap().outcome, Outcome::NoResult);
    }
}
