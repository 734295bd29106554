//! Encryption that is not what was agreed on: data in clear, resets without end.

use std::collections::VecDeque;

use super::Correlator;
use super::call::Serial;
use crate::event::mppe::{Cleartext, ResetStorm};
use crate::event::session::Mppe;
use crate::event::{Body, Event, Party, PerParty, Severity};
use crate::seldom::{Seldom, seldom};
use crate::time::Timestamp;
use crate::wire::ppp::ccp::CcpOption;
use crate::wire::ppp::cp;

/// Reset-Requests of one end within [`STORM_NS`] that are a storm: loss alone makes fewer, as pppd
/// asks again only when another frame could not be decrypted.
const STORM: usize = 10;
const STORM_NS: u64 = 10_000_000_000;

/// What is watched of the encryption of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Encryption {
    agreed: Option<Mppe>,
    /// Packets in clear before encryption was agreed on; None: to be taken at the next look.
    before: PerParty<Option<u64>>,
    reported: PerParty<u64>,
    resets: PerParty<Seldom<Resets>>,
}

/// Reset-Requests of one end.
#[derive(Clone, Debug, Default)]
struct Resets {
    recent: VecDeque<Timestamp>,
    storm_until: Option<Timestamp>,
}

seldom!(Resets);

impl Encryption {
    /// CCP is open with `agreed`. A call that was up before may have carried packets in clear.
    pub(super) fn agreed(&mut self, agreed: Option<Mppe>, was_up: bool) {
        self.agreed = agreed;
        let before = (!was_up).then_some(0);
        self.before = PerParty { client: before, server: before };
        self.reported = PerParty::default();
    }

    /// CCP is negotiated anew.
    pub(super) fn reopened(&mut self) {
        self.agreed = None;
    }

    /// Packets in clear that were not reported yet, of `total` in the flow's counters.
    fn cleartext(&mut self, sender: Party, total: u64) -> Option<Cleartext> {
        let agreed = self.agreed?;
        let before = *self.before.of_mut(sender).get_or_insert(total);
        let total = total.saturating_sub(before);
        let packets = total.saturating_sub(*self.reported.of(sender));
        *self.reported.of_mut(sender) = total;
        (packets > 0).then_some(Cleartext { sender, packets, total, agreed })
    }

    /// A Reset-Request of `sender`; the size of the storm when it begins, or goes on after another
    /// [`STORM_NS`].
    fn reset(&mut self, at: Timestamp, sender: Party) -> Option<u64> {
        let Resets { recent, storm_until } = &mut **self.resets.of_mut(sender);
        if recent.len() == STORM {
            recent.pop_front();
        }
        recent.push_back(at);
        let first = recent.front().filter(|_| recent.len() == STORM)?;
        if at.ns_since(*first) > STORM_NS || storm_until.is_some_and(|until| at < until) {
            return None;
        }
        *storm_until = Some(Timestamp::from_unix_ns(at.unix_ns().saturating_add(STORM_NS)));
        Some(STORM as u64)
    }
}

impl Correlator {
    /// What a CCP frame means for the encryption. `opened`: with it both ends agree.
    pub(super) fn encryption(
        &mut self,
        at: Timestamp,
        serial: Serial,
        sender: Party,
        packet: &cp::Packet<CcpOption>,
        opened: bool,
        out: &mut Vec<Event>,
    ) {
        let storm = self.calls.change(serial, |call| match packet.body {
            cp::Body::ResetRequest => {
                let total = call.traffic.ccp_reset_request(sender);
                call.encryption.reset(at, sender).map(|requests| (requests, total))
            }
            cp::Body::ResetAck => {
                call.traffic.ccp_reset_ack(sender);
                None
            }
            cp::Body::ConfigureRequest { .. } => {
                call.encryption.reopened();
                None
            }
            _ => {
                if opened {
                    call.encryption.agreed(call.negotiation.mppe(), call.phases.was_up());
                }
                None
            }
        });
        if let Some((requests, total)) = storm.flatten() {
            let mppe_reset_storm = ResetStorm { sender, requests, total, window_ns: STORM_NS };
            self.emit(at, Severity::Warning, serial, Body::MppeResetStorm { mppe_reset_storm }, out);
        }
    }

    /// Reports packets in clear on an encrypted call.
    pub(super) fn look_for_cleartext(&mut self, now: Timestamp, serial: Serial, out: &mut Vec<Event>) {
        for sender in [Party::Client, Party::Server] {
            let found = self
                .calls
                .change(serial, |call| call.encryption.cleartext(sender, call.traffic.of(sender).cleartext));
            if let Some(mppe_cleartext) = found.flatten() {
                self.emit(now, Severity::Warning, serial, Body::MppeCleartext { mppe_cleartext }, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: Mppe = Mppe { bits: 128, stateful: false };

    #[test]
    fn cleartext_counts_from_the_agreement_on() {
        let mut encryption = Encryption::default();
        assert!(encryption.cleartext(Party::Client, 50).is_none());
        encryption.agreed(Some(AGREED), true);
        // What was in clear before nobody can tell apart; it is not held against the call.
        assert!(encryption.cleartext(Party::Client, 60).is_none());
        let found = encryption.cleartext(Party::Client, 63).unwrap();
        assert_eq!((found.packets, found.total), (3, 3));
        assert!(encryption.cleartext(Party::Client, 63).is_none());
        encryption.agreed(Some(AGREED), false);
        assert_eq!(encryption.cleartext(Party::Server, 2).unwrap().total, 2);
        encryption.agreed(None, false);
        assert!(encryption.cleartext(Party::Server, 9).is_none());
    }

    #[test]
    fn a_storm_is_ten_requests_within_ten_seconds() {
        let mut encryption = Encryption::default();
        let at = |ms: u64| Timestamp::from_unix_ns(ms * 1_000_000);
        let slow = (0..50).filter_map(|n| encryption.reset(at(n * 1200), Party::Client)).count();
        assert_eq!(slow, 0);
        let fast: Vec<_> =
            (0..40).filter(|n| encryption.reset(at(70_000 + n * 500), Party::Client).is_some()).collect();
        // Ten after 4.5 s, and again while it lasts.
        assert_eq!(fast, [9, 29]);
        assert!(encryption.reset(at(70_000), Party::Server).is_none());
    }
}
