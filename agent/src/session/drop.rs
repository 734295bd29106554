//! Whose packets this host let go of.

use super::Correlator;
use super::call::Serial;
use crate::event::drop::Drop;
use crate::event::{Body, Event, Severity};
use crate::time::Timestamp;

impl Correlator {
    pub(super) fn dropped(&mut self, at: Timestamp, drop: &Drop, out: &mut Vec<Event>) {
        let severity = if drop.harmful { Severity::Warning } else { Severity::Info };
        let owner = self.owner(drop);
        if let Some(serial) = owner {
            self.book_drop(serial, drop);
        }
        let call = owner.and_then(|serial| self.calls.get(serial));
        out.push(self.event(at, severity, call, Body::Drop { drop: drop.clone() }));
        if let Some(serial) = owner {
            self.follow_decryption(at, serial, drop, out);
        }
    }

    /// The call that a packet belonged to: by its GRE header, or by the ppp interface that it was on.
    fn owner(&self, drop: &Drop) -> Option<Serial> {
        if let Some(serial) = drop.flow().and_then(|flow| self.flows.get(&flow)) {
            return Some(*serial);
        }
        self.calls.on_interface(self.interfaces.name(drop.ifindex?)?)
    }
}
