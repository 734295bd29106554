//! The control connection of a call, as rules read it.

use std::time::Duration;

use super::{Echo, Tally, bump};
use crate::event::control::ControlGarbage;
use crate::event::{Party, PerParty};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;
use crate::wire::pptp::Message;
use crate::wire::pptp::codes::{GeneralError, IncomingCallResult, OutgoingCallResult, StartResult};

/// A SYN without answer for so long has been repeated at least once (Linux and Windows: after 1 s and
/// 3 s).
pub(in crate::finding) const SYN_PATIENCE: Duration = Duration::from_secs(4);
/// A daemon that is there answers a Start-Control-Connection-Request in milliseconds.
pub(in crate::finding) const REPLY_PATIENCE: Duration = Duration::from_secs(4);

/// Echo-Requests come every 60 s; a reply takes one round trip.
pub(in crate::finding) const ECHO_PATIENCE: Duration = Duration::from_secs(10);

/// An answer that accepts or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::finding) struct Reply {
    pub(in crate::finding) at: Timestamp,
    pub(in crate::finding) accepted: bool,
    result: ReplyResult,
}

/// What an answer gives as its reason. Nearly every call has two answers that accept: words are made of it when
/// somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyResult {
    Start(StartResult, GeneralError),
    Outgoing(OutgoingCallResult, GeneralError, u16),
    Incoming(IncomingCallResult),
}

impl Reply {
    /// Result, error and cause in words and numbers.
    pub(in crate::finding) fn words(&self) -> String {
        match self.result {
            ReplyResult::Start(result, error) => format!(
                "Start-Control-Connection-Reply: result {} {}, error {} {}",
                result.number(),
                result.name(),
                error.number(),
                error.name()
            ),
            ReplyResult::Outgoing(result, error, cause_code) => format!(
                "Outgoing-Call-Reply: result {} {}, error {} {}, cause code {cause_code}",
                result.number(),
                result.name(),
                error.number(),
                error.name()
            ),
            ReplyResult::Incoming(result) => format!("Incoming-Call-Reply: result {result}"),
        }
    }
}

/// Bytes that are no PPTP message.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Garbage {
    /// By who sent them.
    pub(in crate::finding) by: PerParty<Tally>,
    /// What is wrong with the first of them.
    pub(in crate::finding) reason: Option<String>,
}

seldom!(Garbage);

/// Control messages and what is wrong between them.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Control {
    pub(in crate::finding) start_request: Tally,
    pub(in crate::finding) start_reply: Option<Reply>,
    pub(in crate::finding) call_request: Tally,
    pub(in crate::finding) call_reply: Option<Reply>,
    /// Who the server says made it: tells the daemon.
    pub(in crate::finding) server_vendor: Option<Box<str>>,
    /// The client has said that its LCP is open (Set-Link-Info with a character map that is not the
    /// default).
    pub(in crate::finding) lcp_open_at_client: Option<Timestamp>,
    pub(in crate::finding) echo: Seldom<Echo>,
    pub(in crate::finding) garbage: Seldom<Garbage>,
    /// Messages of each end.
    pub(in crate::finding) messages: PerParty<Tally>,
}

impl Control {
    pub(super) fn message(&mut self, at: Timestamp, sender: Party, message: &Message) {
        bump(&mut self.messages, sender, at);
        match message {
            Message::StartControlConnectionRequest(_) => self.start_request.add(at),
            Message::StartControlConnectionReply(reply) => {
                self.server_vendor = Some(reply.vendor.as_str().into());
                self.start_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    result: ReplyResult::Start(reply.result, reply.error),
                });
            }
            Message::OutgoingCallRequest(_) | Message::IncomingCallRequest(_) => self.call_request.add(at),
            Message::OutgoingCallReply(reply) => {
                self.call_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    result: ReplyResult::Outgoing(reply.result, reply.error, reply.cause_code),
                });
            }
            Message::IncomingCallReply(reply) => {
                self.call_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    result: ReplyResult::Incoming(reply.result),
                });
            }
            Message::EchoRequest(_) => self.echo.request(at, sender),
            Message::EchoReply(_) => self.echo.reply(at, sender),
            // With the default map a client says that LCP begins or is over.
            Message::SetLinkInfo(info) if sender == Party::Client && info.send_accm != u32::MAX => {
                self.lcp_open_at_client.get_or_insert(at);
            }
            _ => {}
        }
    }

    pub(super) fn garbage(&mut self, at: Timestamp, garbage: &ControlGarbage) {
        bump(&mut self.garbage.by, garbage.sender, at);
        self.garbage.reason.get_or_insert_with(|| garbage.reason.clone());
    }

    /// Whether the call was accepted.
    pub(in crate::finding) fn call_stands(&self) -> Option<Timestamp> {
        self.call_reply.as_ref().filter(|reply| reply.accepted).map(|reply| reply.at)
    }
}
