//! The inside of a call's tunnel: counters of its pppN.

use super::Correlator;
use super::call::Serial;
use crate::event::mtu::{InnerCounters, InnerStats, MssViolation};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::{Direction, Inner};
use crate::time::Timestamp;

/// Counters of one pppN.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tunnel {
    mtu: u32,
    ingress: Inner,
    egress: Inner,
}

impl Tunnel {
    /// What `sender` sends, on the host that `here` is.
    const fn of(&self, sender: Party, here: Party) -> &Inner {
        match (sender, here) {
            (Party::Client, Party::Client) | (Party::Server, Party::Server) => &self.egress,
            _ => &self.ingress,
        }
    }
}

impl Correlator {
    /// Counters of one direction of the pppN with this index.
    pub(super) fn inner(&mut self, index: u32, direction: Direction, inner: &Inner) {
        let Some(interface) = self.interfaces.get(index) else { return };
        let tunnel = self.tunnels.entry(interface.name.clone()).or_default();
        tunnel.mtu = interface.mtu;
        match direction {
            Direction::Ingress => tunnel.ingress = *inner,
            Direction::Egress => tunnel.egress = *inner,
        }
    }

    /// The pppN is gone: its last counters stay with its call.
    pub(super) fn inner_gone(&mut self, index: u32) {
        let Some(name) = self.interfaces.name(index) else { return };
        let Some(tunnel) = self.tunnels.remove(name) else { return };
        if let Some(serial) = self.calls.on_interface(name) {
            self.calls.change(serial, |call| call.tunnel = Some(Box::new(tunnel)));
        }
    }

    /// Brings the call's counters up to date and reports what does not fit.
    pub(super) fn look_inside(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get(serial) else { return };
        let Some(name) = call.interface() else { return };
        let known = self.tunnels.get(name).or(call.tunnel.as_deref());
        let Some(tunnel) = known.copied() else { return };
        let here = call.traffic.here();
        for sender in [Party::Client, Party::Server] {
            let inner = tunnel.of(sender, here);
            let reported = self.calls.change(serial, |call| {
                call.tunnel = Some(Box::new(tunnel));
                std::mem::replace(call.violations_reported.of_mut(sender), inner.violations)
            });
            let segments = inner.violations.saturating_sub(reported.unwrap_or(inner.violations));
            if segments > 0 {
                let mtu_mss_violation = MssViolation {
                    sender,
                    segments,
                    total: inner.violations,
                    mss_bytes: inner.violating_mss,
                    mtu_bytes: inner.violated_mtu,
                };
                self.emit(now, Severity::Warning, serial, Body::MtuMssViolation { mtu_mss_violation }, out);
            }
        }
    }
}

/// What events say of the inside of a tunnel.
pub(super) fn stats(tunnel: Option<&Tunnel>, here: Party) -> Option<InnerStats> {
    let tunnel = tunnel?;
    Some(InnerStats {
        mtu_bytes: tunnel.mtu,
        from_client: InnerCounters::from(tunnel.of(Party::Client, here)),
        from_server: InnerCounters::from(tunnel.of(Party::Server, here)),
    })
}
