//! Decryption that stops and goes on, told from what was not decrypted.

use pptpscope_common::drop::Reason;

use super::Correlator;
use super::call::{Call, Serial};
use crate::event::drop::{Drop, DropReason};
use crate::event::mppe::{STALL_CAUSES, Stall, StallState};
use crate::event::{Body, Event, Severity};
use crate::time::Timestamp;

/// A stall that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stalled {
    since: Timestamp,
    cause: Reason,
    frames: u64,
    is_fatal: bool,
}

impl Stalled {
    fn event(&self, now: Timestamp, state: StallState) -> Stall {
        let cause = DropReason(self.cause);
        Stall { state, cause, frames: self.frames, duration_ns: now.ns_since(self.since) }
    }
}

impl Correlator {
    /// What a drop on the call says about its decryption.
    pub(super) fn follow_decryption(
        &mut self,
        at: Timestamp,
        serial: Serial,
        drop: &Drop,
        out: &mut Vec<Event>,
    ) {
        let told = self.calls.change(serial, |call| follow(call, at, drop)).flatten();
        if let Some(mppe_stall) = told {
            let severity = match mppe_stall.state {
                StallState::Ended => Severity::Info,
                _ => Severity::Warning,
            };
            self.emit(at, severity, serial, Body::MppeStall { mppe_stall }, out);
        }
    }

    /// A stall that the end of the call ends.
    pub(super) fn close_stall(&self, now: Timestamp, call: &Call, out: &mut Vec<Event>) {
        if let Some(stalled) = call.stalled {
            let mppe_stall = stalled.event(now, StallState::CallEnded);
            out.push(self.event(now, Severity::Warning, Some(call), Body::MppeStall { mppe_stall }));
        }
    }
}

/// What is to be told of it.
fn follow(call: &mut Call, at: Timestamp, drop: &Drop) -> Option<Stall> {
    let reason = drop.reason.0;
    match reason {
        reason if STALL_CAUSES.contains(&reason) => {
            let is_new = call.stalled.is_none();
            let fresh = Stalled { since: at, cause: reason, frames: 0, is_fatal: false };
            let stalled = call.stalled.get_or_insert(fresh);
            stalled.frames += drop.count;
            if reason == Reason::PppReceiveError && !std::mem::replace(&mut stalled.is_fatal, true) {
                return Some(stalled.event(at, StallState::Fatal));
            }
            is_new.then(|| stalled.event(at, StallState::Begun))
        }
        Reason::MppeReset => {
            let stalled = call.stalled.take_if(|stalled| !stalled.is_fatal)?;
            Some(stalled.event(at, StallState::Ended))
        }
        _ => None,
    }
}
