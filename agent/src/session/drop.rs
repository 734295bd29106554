//! Whose packets this host let go of.

use super::Correlator;
use super::call::Serial;
use crate::event::drop::Drop;
use crate::event::{Body, Event, Severity};
use crate::time::Timestamp;

impl Correlator {
    pub(super) fn dropped(&mut self, at: Timestamp, drop: &Drop, out: &mut Vec<Event>) {
        let severity = if drop.harmful { Severity::Warning } else { Severity::Info };
        let call = self.owner(drop).and_then(|serial| self.calls.get(&serial));
        out.push(self.event(at, severity, call, Body::Drop { drop: drop.clone() }));
    }

    /// The call that a packet belonged to: by its GRE header, or by the ppp interface that it was on.
    fn owner(&self, drop: &Drop) -> Option<Serial> {
        if let Some(serial) = drop.flow().and_then(|flow| self.flows.get(&flow)) {
            return Some(*serial);
        }
        let interface = &self.ppp_interfaces.get(&drop.ifindex?)?.name;
        let is_on = |serial: &Serial| {
            self.calls.get(serial).is_some_and(|call| call.interface.as_ref() == Some(interface))
        };
        // The youngest: names of interfaces are given again.
        self.calls.keys().rev().find(|serial| is_on(serial)).copied()
    }
}
