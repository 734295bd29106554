//! The control connection of a call, as rules read it.

use std::time::Duration;

use super::{Echo, Tally, bump};
use crate::event::control::ControlGarbage;
use crate::event::{Party, PerParty};
use crate::seldom::Seldom;
use crate::time::Timestamp;
use crate::wire::pptp::Message;
use crate::wire::pptp::codes::{DisconnectResult, StopReason};

/// A SYN without answer for so long has been repeated at least once (Linux and Windows: after 1 s and
/// 3 s).
pub(in crate::finding) const SYN_PATIENCE: Duration = Duration::from_secs(4);
/// A daemon that is there answers a Start-Control-Connection-Request in milliseconds.
pub(in crate::finding) const REPLY_PATIENCE: Duration = Duration::from_secs(4);

/// Echo-Requests come every 60 s; a reply takes one round trip.
pub(in crate::finding) const ECHO_PATIENCE: Duration = Duration::from_secs(10);

/// An answer that accepts or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::finding) struct Reply {
    pub(in crate::finding) at: Timestamp,
    pub(in crate::finding) accepted: bool,
    /// Result, error and cause in words and numbers.
    pub(in crate::finding) words: String,
}

/// Control messages and what is wrong between them.
#[derive(Clone, Debug, Default)]
pub(in crate::finding) struct Control {
    pub(in crate::finding) start_request: Tally,
    pub(in crate::finding) start_reply: Option<Reply>,
    pub(in crate::finding) call_request: Tally,
    pub(in crate::finding) call_reply: Option<Reply>,
    /// Who the server says made it: tells the daemon.
    pub(in crate::finding) server_vendor: Option<String>,
    /// Who the client says made it.
    pub(in crate::finding) client_vendor: Option<String>,
    /// The client has said that its LCP is open (Set-Link-Info with a character map that is not the
    /// default).
    pub(in crate::finding) lcp_open_at_client: Option<Timestamp>,
    pub(in crate::finding) echo: Seldom<Echo>,
    pub(in crate::finding) call_cleared: Option<Timestamp>,
    pub(in crate::finding) disconnect: Option<(Timestamp, DisconnectResult)>,
    pub(in crate::finding) stop: Option<(Timestamp, Party, StopReason)>,
    /// Bytes that are no PPTP message, by who sent them.
    pub(in crate::finding) garbage: Seldom<PerParty<Tally>>,
    /// What is wrong with the first of them.
    pub(in crate::finding) garbage_reason: Option<String>,
    /// Messages of each end.
    pub(in crate::finding) messages: PerParty<Tally>,
}

impl Control {
    pub(super) fn message(&mut self, at: Timestamp, sender: Party, message: &Message) {
        bump(&mut self.messages, sender, at);
        match message {
            Message::StartControlConnectionRequest(request) => {
                self.start_request.add(at);
                self.client_vendor = Some(request.vendor.clone());
            }
            Message::StartControlConnectionReply(reply) => {
                self.server_vendor = Some(reply.vendor.clone());
                self.start_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    words: format!(
                        "Start-Control-Connection-Reply: result {} {}, error {} {}",
                        reply.result.number(),
                        reply.result.name(),
                        reply.error.number(),
                        reply.error.name()
                    ),
                });
            }
            Message::OutgoingCallRequest(_) | Message::IncomingCallRequest(_) => self.call_request.add(at),
            Message::OutgoingCallReply(reply) => {
                self.call_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    words: format!(
                        "Outgoing-Call-Reply: result {} {}, error {} {}, cause code {}",
                        reply.result.number(),
                        reply.result.name(),
                        reply.error.number(),
                        reply.error.name(),
                        reply.cause_code
                    ),
                });
            }
            Message::IncomingCallReply(reply) => {
                self.call_reply = Some(Reply {
                    at,
                    accepted: reply.result.number() == 1,
                    words: format!("Incoming-Call-Reply: result {}", reply.result),
                });
            }
            Message::EchoRequest(_) => self.echo.request(at, sender),
            Message::EchoReply(_) => self.echo.reply(at, sender),
            Message::CallClearRequest(_) => {
                self.call_cleared.get_or_insert(at);
            }
            Message::CallDisconnectNotify(notify) => {
                self.disconnect.get_or_insert((at, notify.result));
            }
            Message::StopControlConnectionRequest(stop) => {
                self.stop.get_or_insert((at, sender, stop.reason));
            }
            // With the default map a client says that LCP begins or is over.
            Message::SetLinkInfo(info) if sender == Party::Client && info.send_accm != u32::MAX => {
                self.lcp_open_at_client.get_or_insert(at);
            }
            _ => {}
        }
    }

    pub(super) fn garbage(&mut self, at: Timestamp, garbage: &ControlGarbage) {
        bump(&mut self.garbage, garbage.sender, at);
        self.garbage_reason.get_or_insert_with(|| garbage.reason.clone());
    }

    /// Whether the call was accepted.
    pub(in crate::finding) fn call_stands(&self) -> Option<Timestamp> {
        self.call_reply.as_ref().filter(|reply| reply.accepted).map(|reply| reply.at)
    }
}
