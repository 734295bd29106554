//! RADIUS exchanges: requests, their repetitions and answers, and the calls that they are about.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use uuid::Uuid;

use super::Correlator;
use super::directory::Description;
use crate::event::log::Key;
use crate::event::radius::{Exchange, Facts, Outcome};
use crate::event::{Body, Event, Severity};
use crate::observation::{Proof, Radius};
use crate::time::Timestamp;
use crate::wire::radius::{Attribute, Code, Packet};

/// How long an answer is waited for after the last request. pppd's plugin tries every 10 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long after its answer a repeated request belongs to the exchange.
const ANSWERED: Duration = Duration::from_secs(15);
/// A request whose call ends sooner was not waited for: the call ended for something else.
const GIVEN_UP: Duration = Duration::from_secs(3);
/// Exchanges that are waited for at once.
const MAX_PENDING: usize = 4096;

type ExchangeKey = (SocketAddrV4, SocketAddrV4, u8);

/// One exchange that may still go on.
#[derive(Clone, Debug)]
struct Pending {
    first: Timestamp,
    last: Timestamp,
    retransmissions: u32,
    request: Code,
    proof: Proof,
    facts: Facts,
    /// It was reported; what follows is a repetition after the answer.
    answered: Option<(Code, Outcome)>,
    serial: u64,
}

impl Pending {
    /// What the call that it is about is known by.
    fn describe(&self, aliases: Vec<(Key, String)>) -> Description<'_> {
        let facts = &self.facts;
        Description {
            aliases,
            client: facts.calling_station.as_ref().and_then(|address| address.parse().ok()),
            tunnel: facts.framed_address.filter(|_| self.request == Code::AccountingRequest),
            interface: facts.interface(),
            user: facts.user.as_deref(),
            resolution: Duration::ZERO,
        }
    }
}

/// The exchanges of now.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    pending: BTreeMap<ExchangeKey, Pending>,
    /// When to look at which exchange; one that has moved on since has another serial or a later time.
    due: VecDeque<(Timestamp, ExchangeKey, u64)>,
    serial: u64,
}

impl Exchanges {
    /// When one of them is to be given up.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.due.front().map(|(at, ..)| *at)
    }

    fn wait(&mut self, at: Timestamp, key: ExchangeKey, serial: u64) {
        // Every wait is as long, so that the queue is in order unless packets are not.
        self.due.push_back((at + PATIENCE, key, serial));
    }
}

impl Correlator {
    /// A RADIUS packet was seen.
    pub(super) fn radius(&mut self, at: Timestamp, radius: &Radius, out: &mut Vec<Event>) {
        let key = (radius.client, radius.server, radius.packet.id);
        if radius.packet.code.is_answer() {
            self.radius_answer(at, key, radius, out);
        } else {
            self.radius_request(at, key, radius, out);
        }
    }

    fn radius_request(&mut self, at: Timestamp, key: ExchangeKey, radius: &Radius, out: &mut Vec<Event>) {
        let exchanges = &mut self.exchanges;
        if let Some(known) = exchanges.pending.get_mut(&key).filter(|_| radius.repeated) {
            known.retransmissions = known.retransmissions.saturating_add(1);
            known.last = at;
            let (serial, again) =
                (known.serial, known.answered.filter(|(_, outcome)| *outcome != Outcome::AnswerIgnored));
            if let Some((code, outcome)) = again {
                known.answered = Some((code, Outcome::AnswerIgnored));
                // That a forged answer is ignored was said with it.
                if outcome != Outcome::WrongSecret {
                    let known = known.clone();
                    self.radius_report(at, key, &known, Some(code), Outcome::AnswerIgnored, None, out);
                }
            }
            self.exchanges.wait(at, key, serial);
            return;
        }
        // The identifier is used again: whatever it was for before is over.
        if let Some(old) = exchanges.pending.remove(&key).filter(|old| old.answered.is_none()) {
            self.radius_report(at, key, &old, None, Outcome::Timeout, None, out);
        }
        if self.exchanges.pending.len() >= MAX_PENDING
            && let Some((_, oldest, _)) = self.exchanges.due.pop_front()
            && let Some(old) = self.exchanges.pending.remove(&oldest).filter(|old| old.answered.is_none())
        {
            self.radius_report(at, oldest, &old, None, Outcome::Unknown, None, out);
        }
        self.exchanges.serial += 1;
        let serial = self.exchanges.serial;
        let mut facts = Facts::default();
        facts.learn(&radius.packet);
        let pending = Pending {
            first: at,
            last: at,
            retransmissions: 0,
            request: radius.packet.code,
            proof: radius.proof,
            facts,
            answered: None,
            serial,
        };
        self.exchanges.pending.insert(key, pending);
        self.exchanges.wait(at, key, serial);
    }

    fn radius_answer(&mut self, at: Timestamp, key: ExchangeKey, radius: &Radius, out: &mut Vec<Event>) {
        let Some(known) = self.exchanges.pending.get_mut(&key).filter(|known| known.answered.is_none())
        else {
            return;
        };
        let code = radius.packet.code;
        let outcome = match code {
            _ if radius.proof == Proof::Forged => Outcome::WrongSecret,
            Code::AccessReject | Code::DisconnectNak | Code::CoaNak => Outcome::Rejected,
            Code::AccessChallenge => Outcome::Challenged,
            _ => Outcome::Accepted,
        };
        known.answered = Some((code, outcome));
        known.last = at;
        if radius.proof != Proof::Unchecked {
            known.proof = radius.proof;
        }
        known.facts.learn_answer(&radius.packet);
        let (known, latency) = (known.clone(), at.ns_since(known.first));
        self.radius_report(at, key, &known, Some(code), outcome, Some(latency), out);
        self.exchanges.wait(at, key, known.serial);
    }

    /// Gives up what was waited for too long.
    pub(super) fn radius_timeouts(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        while let Some((_, key, serial)) = self.exchanges.due.pop_front_if(|(at, ..)| *at <= now) {
            let Some(known) = self.exchanges.pending.get(&key).filter(|known| known.serial == serial) else {
                continue;
            };
            let patience = if known.answered.is_some() { ANSWERED } else { PATIENCE };
            if known.last + patience > now {
                continue;
            }
            if let Some(old) = self.exchanges.pending.remove(&key).filter(|old| old.answered.is_none()) {
                self.radius_report(now, key, &old, None, Outcome::Timeout, None, out);
            }
        }
    }

    /// The authenticator of call `session` says no, or the call ends: a request about it that still waits
    /// for its answer has been given up by who sent it.
    pub(super) fn radius_given_up(&mut self, now: Timestamp, session: Uuid, out: &mut Vec<Event>) {
        let waits = |known: &Pending| {
            known.answered.is_none() && known.request == Code::AccessRequest && known.first + GIVEN_UP <= now
        };
        let is_about = |known: &Pending| {
            self.directory.find(known.first, &known.describe(Vec::new())).is_some_and(|(id, _)| id == session)
        };
        let given_up: Vec<ExchangeKey> = self
            .exchanges
            .pending
            .iter()
            .filter(|(_, known)| waits(known) && is_about(known))
            .map(|(key, _)| *key)
            .collect();
        for key in given_up {
            if let Some(old) = self.exchanges.pending.remove(&key) {
                self.radius_report(now, key, &old, None, Outcome::Timeout, None, out);
            }
        }
    }

    /// At the end: what has no answer is told as it is.
    pub(super) fn radius_finish(&mut self, now: Timestamp, out: &mut Vec<Event>) {
        for (key, old) in std::mem::take(&mut self.exchanges.pending) {
            if old.answered.is_none() {
                let outcome = if old.retransmissions > 0 { Outcome::Timeout } else { Outcome::Unknown };
                self.radius_report(now, key, &old, None, outcome, None, out);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an exchange came to")]
    fn radius_report(
        &mut self,
        at: Timestamp,
        (client, server, id): ExchangeKey,
        known: &Pending,
        answer: Option<Code>,
        outcome: Outcome,
        latency_ns: Option<u64>,
        out: &mut Vec<Event>,
    ) {
        let facts = &known.facts;
        // Accounting names its session; servers count sessions apart.
        let alias = facts.session_name().map(|name| format!("acct {} {name}", client.ip()));
        let description =
            known.describe(alias.iter().map(|alias| (Key::AcctSessionId, alias.clone())).collect());
        let found = self.directory.find(known.first, &description);
        if let (Some((id, _)), Some(alias)) = (found, alias) {
            self.directory.learn(alias, id);
        }
        let session = found.and_then(|(id, _)| self.directory.get(id)).map(|entry| entry.reference.clone());
        let severity = match outcome {
            Outcome::Accepted | Outcome::Challenged => Severity::Info,
            Outcome::Unknown => Severity::Notice,
            _ => Severity::Warning,
        };
        let radius_exchange = Exchange {
            client,
            server,
            id,
            request: known.request,
            answer,
            outcome,
            latency_ns,
            retransmissions: known.retransmissions,
            proof: known.proof,
            facts: facts.clone(),
            join: found.map(|(_, join)| join),
        };
        let host = self.config.host.clone();
        out.push(Event { ts: at, body: Body::RadiusExchange { radius_exchange }, severity, host, session });
    }
}

impl Facts {
    /// Takes what a packet says.
    fn learn(&mut self, packet: &Packet) {
        let (mut input, mut output) = ([None; 2], [None; 2]);
        for attribute in &packet.attributes {
            match attribute {
                Attribute::UserName(name) => self.user = Some(name.clone()),
                Attribute::CallingStationId(id) => self.calling_station = Some(id.clone()),
                Attribute::CalledStationId(id) => self.called_station = Some(id.clone()),
                Attribute::NasIpAddress(address) => self.nas_address = Some(*address),
                Attribute::NasIdentifier(name) => self.nas_identifier = Some(name.clone()),
                Attribute::NasPort(port) => self.nas_port = Some(*port),
                Attribute::NasPortId(port) => self.nas_port_id = Some(port.clone()),
                // The last two addresses of all mean "let somebody choose" (RFC 2865 §5.8).
                Attribute::FramedIpAddress(address) if u32::from(*address) < u32::MAX - 1 => {
                    self.framed_address = Some(*address);
                }
                Attribute::AcctSessionId(id) => {
                    (self.pppd_time, self.pppd_pid) =
                        of_pppd(id).map_or((None, None), |(time, pid)| (Some(time), pid));
                    self.acct_session_id = Some(id.clone());
                }
                Attribute::AcctStatusType(status) => self.acct_status = Some(*status),
                Attribute::AcctSessionTime(seconds) => self.session_time_s = Some(*seconds),
                Attribute::AcctInputOctets(bytes) => input[0] = Some(*bytes),
                Attribute::AcctInputGigawords(wraps) => input[1] = Some(*wraps),
                Attribute::AcctOutputOctets(bytes) => output[0] = Some(*bytes),
                Attribute::AcctOutputGigawords(wraps) => output[1] = Some(*wraps),
                Attribute::AcctTerminateCause(cause) => self.terminate_cause = Some(*cause),
                _ => {}
            }
        }
        let bytes = |[low, high]: [Option<u32>; 2]| {
            low.map(|low| u64::from(low) | u64::from(high.unwrap_or(0)) << 32)
        };
        self.input_bytes = bytes(input).or(self.input_bytes);
        self.output_bytes = bytes(output).or(self.output_bytes);
        if let Some(method) = packet.method() {
            self.method = Some(method.to_string());
        }
    }

    /// Takes what an answer says beside.
    fn learn_answer(&mut self, packet: &Packet) {
        let mut keys = false;
        for attribute in &packet.attributes {
            match attribute {
                Attribute::ReplyMessage(text) => self.reply_message = Some(text.clone()),
                Attribute::MsChapError(error) => self.chap_error = error.error.map(|error| error.number()),
                Attribute::FramedIpAddress(address) if u32::from(*address) < u32::MAX - 1 => {
                    self.framed_address = Some(*address);
                }
                Attribute::MsMppeSendKey | Attribute::MsMppeRecvKey | Attribute::MsChapMppeKeys => {
                    keys = true;
                }
                _ => {}
            }
        }
        if packet.code == Code::AccessAccept {
            self.mppe_keys = Some(keys);
        }
    }

    /// The Acct-Session-Id, where it means one session only.
    fn session_name(&self) -> Option<String> {
        let id = self.acct_session_id.as_ref()?;
        if self.pppd_time.is_some() && self.pppd_pid.is_none() {
            // Calls of the same second have it as well; they do not have the same address.
            return self.framed_address.map(|address| format!("{id} {address}"));
        }
        Some(id.clone())
    }

    /// Name of the pppN: pppd's plugin gives its unit as port, accel-ppp its name.
    fn interface(&self) -> Option<String> {
        self.nas_port_id.clone().or_else(|| self.nas_port.map(|unit| format!("ppp{unit}")))
    }
}

/// Takes the Acct-Session-Id of pppd apart: time and process id, in hexadecimal, and a counter
/// (`rc_mksid`: `%08lX%04X%02hX`). The formatter of pppd 2.4.9 knows neither `%lX` nor `%hX`, writes them as they
/// are, and spends the time on `%04X`: that leaves the process id out.
fn of_pppd(id: &str) -> Option<(u32, Option<u32>)> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    if let Some(time) = id.strip_prefix("%lX").and_then(|rest| rest.strip_suffix("%hX")) {
        let is_time = time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_time.then(|| u32::from_str_radix(time, 16).ok()).flatten().map(|time| (time, None));
    }
    if !(14..=18).contains(&id.len()) || !is_hex(id) {
        return None;
    }
    let time = u32::from_str_radix(id.get(..8)?, 16).ok()?;
    let pid = u32::from_str_radix(id.get(8..id.len() - 2)?, 16).ok()?;
    Some((time, Some(pid)))
}

#[cfg(test)]
mod tests {
    use super::of_pppd;

    #[test]
    fn the_session_id_of_pppd_holds_time_and_pid() {
        assert_eq!(of_pppd("65F1A2B304D200"), Some((0x65f1_a2b3, Some(1234))));
        assert_eq!(of_pppd("65F1A2B312345600"), Some((0x65f1_a2b3, Some(0x0012_3456))));
        // pppd 2.4.9.
        assert_eq!(of_pppd("%lX6b06acde%hX"), Some((0x6b06_acde, None)));
        for other in
            ["168", "da66f165863ab669", "65F1A2B304D2", "", "%lX%hX", "%lX+b06acde%hX", "%lX6b06acde"]
        {
            assert_eq!(of_pppd(other), None, "{other}");
        }
    }
}
