//! Events that a receiver can tell apart, and where receivers listen.
#![allow(clippy::unwrap_used, reason = "a helper may fail like the test itself")]

use std::net::TcpListener;

use pptpscope::event::agent::{Loss, LossStage};
use pptpscope::event::{Body, Event, Severity};
use pptpscope::time::Timestamp;

/// Time of event number 0.
pub(crate) const BEGIN_NS: u64 = 1_800_000_000_000_000_000;

/// An event that has lost `number` others, so many nanoseconds after [`BEGIN_NS`].
pub(crate) fn event(number: u64, remedy: &str) -> Event {
    let agent_loss =
        Loss { stage: LossStage::Output, kind: None, lost: number, total: number, remedy: remedy.to_owned() };
    Event {
        ts: Timestamp::from_unix_ns(BEGIN_NS + number),
        body: Body::AgentLoss { agent_loss },
        severity: Severity::Warning,
        host: "vpn".into(),
        session: None,
    }
}

/// A port of the loopback that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
