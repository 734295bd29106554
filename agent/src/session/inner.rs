//! The inside of a call's tunnel: counters of its pppN.

use super::Correlator;
use super::call::Serial;
use std::net::Ipv4Addr;

use crate::event::gre::RoutingLoop;
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
    pub(super) fn inner(
        &mut self,
        at: Timestamp,
        index: u32,
        direction: Direction,
        inner: &Inner,
        out: &mut Vec<Event>,
    ) {
        let Some(interface) = self.interfaces.get(index) else { return };
        let name = &interface.name;
        let tunnel = self.tunnels.entry(name.clone()).or_default();
        tunnel.mtu = interface.mtu;
        match direction {
            Direction::Ingress => tunnel.ingress = *inner,
            Direction::Egress => {
                let packets = inner.gre.saturating_sub(tunnel.egress.gre);
                tunnel.egress = *inner;
                if let (1.., Some(serial)) = (packets, self.calls.on_interface(name)) {
                    self.look_for_loop(at, serial, packets, inner, out);
                }
            }
        }
    }

    /// GRE was sent into the tunnel: that of another tunnel through this one, or its own.
    fn look_for_loop(
        &self,
        at: Timestamp,
        serial: Serial,
        packets: u64,
        inner: &Inner,
        out: &mut Vec<Event>,
    ) {
        let Some(call) = self.calls.get(serial) else { return };
        let sender = call.traffic.here();
        let other_end = match sender {
            Party::Client => call.server,
            Party::Server => call.client,
        };
        let destination = Ipv4Addr::from(inner.gre_destination);
        if destination == other_end {
            let gre_routing_loop = RoutingLoop { sender, destination, packets, total: inner.gre };
            self.emit(at, Severity::Warning, serial, Body::GreRoutingLoop { gre_routing_loop }, out);
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
