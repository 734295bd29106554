//! How TCP carries a control connection: round trips, retransmissions, resets.

use crate::event::control::{TcpCounters, TcpStats};
use crate::event::{Party, PerParty};
use crate::observation::Segment;
use crate::packed::{Packed, Words};
use crate::time::Timestamp;
use crate::wire::tcp::Flags;

/// One end.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    counters: TcpCounters,
    /// Behind the highest byte that it has sent.
    next: Option<u32>,
    /// The end of a segment whose acknowledgement is awaited, and when it was sent.
    sample: Option<(u32, Timestamp)>,
    /// Segments sent again since the other end has acknowledged something new.
    retries: u32,
}

/// What is known of the two ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tcp {
    sides: PerParty<Side>,
    syn_at: Option<Timestamp>,
    syn_rtt_ns: Option<u64>,
}

impl Tcp {
    /// Takes a segment of `sender`.
    pub(super) fn segment(&mut self, at: Timestamp, sender: Party, segment: &Segment) {
        let has = |flag| segment.flags.contains(flag);
        let (syn, fin) = (has(Flags::SYN), has(Flags::FIN));
        let length = segment.payload.len() as u32 + u32::from(syn) + u32::from(fin);
        self.sides.of_mut(sender).sent(at, segment, length);
        if syn {
            self.syn(at, sender);
        }
        if let Some(ack) = segment.acknowledgement {
            self.sides.of_mut(sender.peer()).acknowledged(at, ack);
        }
    }

    fn syn(&mut self, at: Timestamp, sender: Party) {
        let was_resent = self.sides.of(sender).counters.retransmissions > 0;
        match sender {
            Party::Client => self.syn_at = (!was_resent).then_some(at),
            Party::Server => {
                if let (Some(since), false) = (self.syn_at.take(), was_resent) {
                    self.syn_rtt_ns = Some(at.ns_since(since));
                }
            }
        }
    }

    /// Whether neither end repeats itself in vain.
    pub(super) const fn is_answered(&self) -> bool {
        self.sides.client.retries == 0 && self.sides.server.retries == 0
    }

    const fn stats(&self) -> TcpStats {
        TcpStats {
            syn_rtt_ns: self.syn_rtt_ns,
            from_client: self.sides.client.counters,
            from_server: self.sides.server.counters,
        }
    }

    /// What is known now, for who outlives the connection.
    pub(super) fn note(&self) -> Noted {
        Noted::of(&self.stats())
    }
}

/// What was known of a connection when it was last looked at. Every call has it, and few read it: packed it
/// takes a quarter of the room.
#[derive(Clone, Debug)]
pub(super) struct Noted(Packed);

impl Noted {
    fn of(TcpStats { syn_rtt_ns, from_client, from_server }: &TcpStats) -> Self {
        let mut words = optional(*syn_rtt_ns).to_vec();
        for side in [from_client, from_server] {
            let TcpCounters {
                segments,
                retransmissions,
                resets,
                payload_bytes,
                rtt_samples,
                rtt_min_ns,
                rtt_max_ns,
                rtt_sum_ns,
            } = *side;
            words.extend([segments, retransmissions, resets, payload_bytes, rtt_samples, rtt_sum_ns]);
            words.extend(optional(rtt_min_ns).into_iter().chain(optional(rtt_max_ns)));
        }
        Self(Packed::of(&words))
    }

    pub(super) fn stats(&self) -> TcpStats {
        let mut words = self.0.words();
        let syn_rtt_ns = take_optional(&mut words);
        let mut side = || {
            let [segments, retransmissions, resets, payload_bytes, rtt_samples, rtt_sum_ns] =
                words.take_all();
            let (rtt_min_ns, rtt_max_ns) = (take_optional(&mut words), take_optional(&mut words));
            TcpCounters {
                segments,
                retransmissions,
                resets,
                payload_bytes,
                rtt_samples,
                rtt_min_ns,
                rtt_max_ns,
                rtt_sum_ns,
            }
        };
        let from_client = side();
        TcpStats { syn_rtt_ns, from_client, from_server: side() }
    }
}

/// Whether there is a number, and which.
fn optional(number: Option<u64>) -> [u64; 2] {
    number.map_or([0, 0], |number| [1, number])
}

fn take_optional(words: &mut Words<'_>) -> Option<u64> {
    let [is_some, number] = words.take_all();
    (is_some != 0).then_some(number)
}

/// Whether `one` is at or behind `other` in the sequence space (RFC 9293, section 3.4).
const fn reaches(one: u32, other: u32) -> bool {
    one.wrapping_sub(other) < 1 << 31
}

impl Side {
    fn sent(&mut self, at: Timestamp, segment: &Segment, length: u32) {
        self.counters.segments += 1;
        self.counters.payload_bytes += segment.payload.len() as u64;
        self.counters.resets += u64::from(segment.flags.contains(Flags::RST));
        if length == 0 {
            return;
        }
        let end = segment.sequence.wrapping_add(length);
        if self.next.is_some_and(|next| reaches(next, end)) {
            self.counters.retransmissions += 1;
            self.retries += 1;
            // Which of the two is acknowledged cannot be told (Karn's algorithm, RFC 6298).
            self.sample = None;
            return;
        }
        self.next = Some(end);
        self.sample.get_or_insert((end, at));
    }

    fn acknowledged(&mut self, at: Timestamp, ack: u32) {
        if self.next.is_some_and(|next| reaches(ack, next)) {
            self.retries = 0;
        }
        if let Some((end, since)) = self.sample
            && reaches(ack, end)
        {
            self.sample = None;
            let rtt = at.ns_since(since);
            let counters = &mut self.counters;
            counters.rtt_samples += 1;
            counters.rtt_sum_ns = counters.rtt_sum_ns.saturating_add(rtt);
            counters.rtt_min_ns = Some(counters.rtt_min_ns.map_or(rtt, |least| least.min(rtt)));
            counters.rtt_max_ns = Some(counters.rtt_max_ns.map_or(rtt, |most| most.max(rtt)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn send(tcp: &mut Tcp, ms: u64, sender: Party, flags: u8, sequence: u32, ack: u32, payload: &[u8]) {
        let nobody = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 1723);
        let segment = Segment {
            source: nobody,
            destination: nobody,
            flags: Flags::from(flags),
            sequence,
            acknowledgement: (flags & 0x10 != 0).then_some(ack),
            payload: Bytes::copy_from_slice(payload),
        };
        tcp.segment(Timestamp::from_unix_ns(ms * 1_000_000), sender, &segment);
    }

    #[test]
    fn round_trips_retransmissions_and_resets() {
        use Party::{Client, Server};
        let mut tcp = Tcp::default();
        send(&mut tcp, 0, Client, 0x02, u32::MAX, 0, b"");
        send(&mut tcp, 1, Server, 0x12, 500, 0, b"");
        send(&mut tcp, 41, Client, 0x10, 0, 501, b"");
        send(&mut tcp, 42, Client, 0x18, 0, 501, b"request");
        send(&mut tcp, 45, Server, 0x18, 501, 7, b"reply");
        let stats = tcp.stats();
        assert_eq!(stats.syn_rtt_ns, Some(1_000_000));
        assert_eq!((stats.from_client.segments, stats.from_client.payload_bytes), (3, 7));
        assert_eq!((stats.from_client.rtt_samples, stats.from_client.rtt_sum_ns), (2, 4_000_000));
        assert_eq!((stats.from_server.rtt_samples, stats.from_server.rtt_min_ns), (1, Some(40_000_000)));
        assert!(tcp.is_answered());
        // The reply is lost behind us and sent twice more.
        send(&mut tcp, 245, Server, 0x18, 501, 7, b"reply");
        send(&mut tcp, 645, Server, 0x18, 501, 7, b"reply");
        assert!(!tcp.is_answered());
        send(&mut tcp, 700, Client, 0x10, 7, 506, b"");
        assert!(tcp.is_answered());
        send(&mut tcp, 900, Client, 0x14, 7, 506, b"");
        let stats = tcp.stats();
        assert_eq!(stats.from_server.retransmissions, 2);
        assert_eq!(stats.from_server.rtt_samples, 1, "not of what was sent again");
        assert_eq!((stats.from_client.resets, stats.from_client.retransmissions), (1, 0));
    }

    proptest! {
        #[test]
        fn what_was_noted_is_what_was_known(syn: Option<u64>, sums: [u64; 12], trips: [Option<u64>; 4]) {
            let side = |sums: &[u64], trips: &[Option<u64>]| TcpCounters {
                segments: sums[0],
                retransmissions: sums[1],
                resets: sums[2],
                payload_bytes: sums[3],
                rtt_samples: sums[4],
                rtt_sum_ns: sums[5],
                rtt_min_ns: trips[0],
                rtt_max_ns: trips[1],
            };
            let stats = TcpStats {
                syn_rtt_ns: syn,
                from_client: side(&sums[..6], &trips[..2]),
                from_server: side(&sums[6..], &trips[2..]),
            };
            prop_assert_eq!(Noted::of(&stats).stats(), stats);
        }
    }

    #[test]
    fn a_syn_sent_again_has_no_round_trip() {
        let mut tcp = Tcp::default();
        send(&mut tcp, 0, Party::Client, 0x02, 9, 0, b"");
        send(&mut tcp, 1000, Party::Client, 0x02, 9, 0, b"");
        send(&mut tcp, 1001, Party::Server, 0x12, 500, 10, b"");
        let stats = tcp.stats();
        assert_eq!((stats.syn_rtt_ns, stats.from_client.retransmissions), (None, 1));
        assert_eq!(stats.from_client.rtt_samples, 0);
    }
}
