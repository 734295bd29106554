//! Kinds of packets, and what each must leave behind in the maps.

use crate::bpf::Counter;
use crate::frame::{Gre, Ip, Tcp};

/// What a class is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Nobody's packet: at most so many times an empty program.
    EarlyExit,
    /// A call's data: at most so much more than an empty program, and nothing else touched.
    Data,
    /// Rare packets: shown only.
    None,
}

/// What one packet adds to the agent's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaves {
    /// Packets counted on flows.
    pub(crate) packets: u64,
    /// Flows.
    pub(crate) flows: u64,
    /// Fragments counted on flows.
    pub(crate) fragments: u64,
    /// Records of the ring.
    pub(crate) records: u64,
    /// Records that were not worth one.
    pub(crate) suppressed: u64,
    /// Whether it may touch a map that evicts old entries.
    pub(crate) lru: bool,
}

/// A kind of packet.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) goal: Goal,
    /// Sent first, once: opens the flow that the class is about.
    pub(crate) first: Option<Vec<u8>>,
    /// From the IPv4 header on.
    pub(crate) packet: Vec<u8>,
    /// Offsets are from the IPv4 header.
    pub(crate) counters: Vec<Counter>,
    pub(crate) leaves: Leaves,
}

/// Packets of one repetition: about a millisecond, so that most repetitions are over before anything
/// else gets the processor.
pub(crate) const REPEAT: u32 = 4000;

/// Bytes of the IPv4 header, and of GRE up to each field.
const IP: usize = 20;
const CALL_ID: usize = IP + 6;
const SEQUENCE: usize = IP + 8;

const fn word(at: usize) -> Counter {
    Counter { at, mask: u32::MAX, carries: false }
}

/// The two bytes at `at`.
const fn half(at: usize, mask: u32) -> Counter {
    Counter { at: at - 2, mask, carries: false }
}

/// Calls of the class with many of them: a power of two.
const CALLS: u32 = 1024;

/// An IPv4 packet in PPP, encrypted as MPPE does: protocol 0xfd, flags and coherency count, noise.
fn encrypted(sequence: u32, ack: Option<u32>) -> Gre {
    let mut payload = vec![0xfd, 0x90, 0x00];
    payload.extend((0..1000).map(|byte| (byte * 7) as u8));
    Gre { call_id: 1, sequence: Some(sequence), ack, payload }
}

/// Every class that passes an uplink.
pub(crate) fn uplink() -> Vec<Class> {
    let tcp = |source, destination, flags, payload: &[u8]| {
        let segment = Tcp { source, destination, flags, options: Vec::new(), payload: payload.to_vec() };
        segment.datagram()
    };
    let data = Leaves { packets: 1, ..Leaves::default() };
    let class = |name, goal, packet, counters: Vec<Counter>, leaves| Class {
        name,
        goal,
        first: None,
        packet,
        counters,
        leaves,
    };
    // Also behind an acknowledgement the coherency count goes up.
    let coherency = |with_ack: bool| half(SEQUENCE + 4 + 4 * usize::from(with_ack) + 1, 0x0fff);
    let ack_only = Gre { call_id: 1, ack: Some(1), ..Gre::default() }.datagram();
    let echo = Gre {
        payload: vec![0xff, 0x03, 0xc0, 0x21, 9, 0, 0, 8, 1, 2, 3, 4],
        ..Gre { call_id: 1, sequence: Some(1), ..Gre::default() }
    };
    let whole = encrypted(1, None).build();
    let first_fragment = Ip { more_fragments: true, ..Ip::new(47) }.build(&whole[..800]);
    let later_fragment = Ip { fragment_offset: 800, ..Ip::new(47) }.build(&whole[800..]);
    vec![
        class("UDP", Goal::EarlyExit, Ip::new(17).build(&[0; 1000]), vec![], Leaves::default()),
        class("TCP 443", Goal::EarlyExit, tcp(50_000, 443, Tcp::ACK, &[0; 1000]), vec![], Leaves::default()),
        class(
            "GRE data, known call",
            Goal::Data,
            encrypted(1, None).datagram(),
            vec![word(SEQUENCE), coherency(false)],
            data,
        ),
        class(
            "GRE data with ack, known call",
            Goal::Data,
            encrypted(1, Some(1)).datagram(),
            vec![word(SEQUENCE), word(SEQUENCE + 4), coherency(true)],
            data,
        ),
        class(
            "GRE data, 1024 calls in turn",
            Goal::None,
            encrypted(1, None).datagram(),
            vec![Counter { carries: true, ..half(CALL_ID, CALLS - 1) }, word(SEQUENCE), coherency(false)],
            data,
        ),
        class(
            "GRE data, new call",
            Goal::None,
            encrypted(1, None).datagram(),
            vec![half(CALL_ID, 0xffff)],
            Leaves { flows: 1, ..data },
        ),
        class("GRE ack only", Goal::Data, ack_only, vec![word(SEQUENCE)], data),
        Class {
            first: Some(encrypted(0, None).datagram()),
            ..class(
                "GRE fragment, first",
                Goal::None,
                first_fragment,
                vec![half(4, 0xffff), word(SEQUENCE)],
                Leaves { fragments: 1, lru: true, ..data },
            )
        },
        Class {
            first: Some(Ip { more_fragments: true, ..Ip::new(47) }.build(&whole[..800])),
            ..class(
                "GRE fragment, later",
                Goal::None,
                later_fragment,
                vec![],
                Leaves { fragments: 1, lru: true, ..Leaves::default() },
            )
        },
        class(
            "PPP negotiation",
            Goal::None,
            echo.datagram(),
            vec![word(SEQUENCE)],
            Leaves { records: 1, ..data },
        ),
        class(
            "TCP 1723, bare ack",
            Goal::None,
            tcp(50_000, 1723, Tcp::ACK, &[]),
            vec![],
            Leaves { records: 1, lru: true, ..Leaves::default() },
        ),
        class(
            "TCP 1723, message",
            Goal::None,
            tcp(50_000, 1723, Tcp::ACK | Tcp::PSH, &[0; 168]),
            vec![],
            Leaves { records: 1, lru: true, ..Leaves::default() },
        ),
    ]
}
