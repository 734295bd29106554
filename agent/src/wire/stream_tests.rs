use proptest::prelude::*;

use super::{Assembler, GARBAGE_REPORT_BYTES, Garbage, Item, MAX_PENDING, MAX_PENDING_BYTES};
use crate::wire::pptp::{
    Error, MAX_BYTES, Message,
    message::{CallClearRequest, EchoRequest, SetLinkInfo},
    tests::any_message,
};

/// Most that an assembler may hold.
const BOUND: usize = MAX_PENDING_BYTES + 2 * MAX_BYTES;

fn echo(identifier: u32) -> Message {
    EchoRequest { identifier }.into()
}

fn echoes(count: u32) -> (Vec<Message>, Vec<u8>) {
    let messages: Vec<_> = (0..count).map(echo).collect();
    let bytes = messages.iter().flat_map(Message::encode).collect();
    (messages, bytes)
}

fn messages(items: Vec<Item>) -> Vec<Message> {
    items
        .into_iter()
        .map(|item| match item {
            Item::Message(message) => message,
            other => panic!("unexpected {other:?}"),
        })
        .collect()
}

fn opened(first: u32) -> Assembler {
    let mut assembler = Assembler::new();
    assert_eq!(assembler.segment(first.wrapping_sub(1), true, &[]), []);
    assembler
}

#[test]
fn split_at_every_byte_across_the_wrap_of_the_sequence() {
    let (expected, bytes) = echoes(4);
    for first in [0u32, 1000, u32::MAX - 20] {
        let mut assembler = opened(first);
        let items = bytes
            .iter()
            .zip(0u32..)
            .flat_map(|(byte, offset)| assembler.segment(first.wrapping_add(offset), false, &[*byte]))
            .collect();
        assert_eq!(messages(items), expected);
        assert_eq!((assembler.buffered_bytes(), assembler.finish()), (0, vec![]));
    }
}

#[test]
fn retransmission_and_overlap_yield_nothing_twice() {
    let (expected, bytes) = echoes(3);
    let mut assembler = opened(100);
    let mut items = assembler.segment(100, false, &bytes[..20]);
    items.extend(assembler.segment(99, false, &[0]));
    items.extend(assembler.segment(99, true, &[]));
    items.extend(assembler.segment(100, false, &bytes[..20]));
    items.extend(assembler.segment(110, false, &bytes[10..30]));
    items.extend(assembler.segment(100, false, &bytes));
    items.extend(assembler.segment(100, false, &bytes));
    assert_eq!(messages(items), expected);
    assert_eq!(assembler.finish(), []);
}

#[test]
fn reordered_segments_wait() {
    let (expected, bytes) = echoes(3);
    let mut assembler = opened(0);
    assert_eq!(assembler.segment(30, false, &bytes[30..]), []);
    assert_eq!(assembler.segment(10, false, &bytes[10..32]), []);
    assert_eq!(assembler.segment(10, false, &bytes[10..20]), []);
    assert_eq!(assembler.buffered_bytes(), 40);
    assert_eq!(messages(assembler.segment(0, false, &bytes[..10])), expected);
    assert_eq!(assembler.buffered_bytes(), 0);
}

#[test]
fn a_gap_ends_when_the_receiver_acknowledges_what_is_behind_it() {
    let (expected, bytes) = echoes(4);
    let mut assembler = opened(0);
    assert_eq!(messages(assembler.segment(0, false, &bytes[..20])), expected[..1]);
    assert_eq!(assembler.segment(40, false, &bytes[40..]), []);
    assert_eq!(assembler.acknowledged(20), []);
    assert_eq!(
        assembler.acknowledged(64),
        [
            Item::Garbage { bytes: 4, why: Garbage::AfterGap },
            Item::Gap { bytes: 20 },
            Item::Garbage { bytes: 8, why: Garbage::AfterGap },
            Item::Message(expected[3].clone()),
        ]
    );
    assert_eq!(assembler.garbage_bytes(), 12);
    assert_eq!(messages(assembler.segment(64, false, &echo(9).encode())), [echo(9)]);
}

#[test]
fn a_gap_at_the_end_is_seen_by_the_fin() {
    let mut assembler = opened(0);
    assert_eq!(assembler.segment(16, false, &[]), []);
    assert_eq!(assembler.finish(), [Item::Gap { bytes: 16 }]);

    // The acknowledgement after a FIN is one further, and nothing is missing.
    let mut assembler = opened(0);
    assert_eq!(messages(assembler.segment(0, false, &echo(1).encode())), [echo(1)]);
    assert_eq!(assembler.segment(17, false, &[]), []);
    assert_eq!(assembler.finish(), []);
}

#[test]
fn a_gap_ends_when_too_much_waits() {
    let mut assembler = opened(0);
    let items: Vec<_> = (0..=MAX_PENDING as u32)
        .flat_map(|index| assembler.segment(1000 + 16 * index, false, &echo(index).encode()))
        .collect();
    assert_eq!(items[0], Item::Gap { bytes: 1000 });
    assert_eq!(items.len(), MAX_PENDING + 2);
    assert_eq!(assembler.buffered_bytes(), 0);
}

#[test]
fn a_gap_ends_when_what_waits_is_too_large() {
    let mut assembler = opened(0);
    let mut reports = Vec::new();
    for index in 0..12 {
        reports.extend(assembler.segment(1000 + 2000 * index, false, &[0xaa; 2000]));
        assert!(assembler.buffered_bytes() <= BOUND);
    }
    assert_eq!(reports[0], Item::Gap { bytes: 1000 });
}

#[test]
fn joins_in_the_middle() {
    let link = Message::from(SetLinkInfo { peer_call_id: 1, send_accm: 0, receive_accm: 0 });
    let bytes = [link.encode(), echo(1).encode(), echo(2).encode()].concat();
    for start in 0..=24usize {
        for split in start..bytes.len() {
            let mut assembler = Assembler::new();
            let mut items = assembler.segment(start as u32, false, &bytes[start..split]);
            items.extend(assembler.segment(split as u32, false, &bytes[split..]));
            let mut expected = vec![Item::Message(echo(1)), Item::Message(echo(2))];
            match start {
                0 => expected.insert(0, Item::Message(link.clone())),
                24 => {}
                _ => expected.insert(0, Item::Garbage { bytes: 24 - start as u64, why: Garbage::Joined }),
            }
            assert_eq!(items, expected, "joined at {start}, split at {split}");
        }
    }
}

#[test]
fn garbage_is_reported_once_and_not_kept() {
    let mut assembler = opened(0);
    let request = b"GET / HTTP/1.1\r\nHost: vpn\r\n\r\n";
    assert_eq!(assembler.segment(0, false, request), []);
    let why = Garbage::NotPptp(Error::BadMagic(u32::from_be_bytes(*b"/ HT")));
    assert_eq!(why.to_string(), "not PPTP: magic cookie 0x2f204854 instead of 0x1a2b3c4d");
    assert_eq!(assembler.finish(), [Item::Garbage { bytes: request.len() as u64, why }]);

    let mut assembler = opened(0);
    let mut reports = 0;
    for index in 0..10_000u32 {
        reports += assembler.segment(index * 1000, false, &[0xaa; 1000]).len();
        assert!(assembler.buffered_bytes() <= BOUND);
    }
    assert_eq!((reports, assembler.finish().len()), (1, 0));
    assert_eq!(assembler.garbage_bytes(), 10_000_000);
}

#[test]
fn finds_the_thread_again_behind_an_oversized_length() {
    let mut broken = echo(1).encode();
    broken[0] = 0xff;
    let bytes = [broken, echo(2).encode()].concat();
    let items = opened(0).segment(0, false, &bytes);
    assert!(matches!(
        items[..],
        [Item::Garbage { bytes: 16, why: Garbage::NotPptp(Error::BadLength { .. }) }, Item::Message(_)]
    ));
}

#[test]
fn joining_what_is_not_pptp_is_garbage() {
    let mut assembler = Assembler::new();
    assert_eq!(assembler.segment(0, false, &[0xaa; 300]), []);
    assert_eq!(assembler.finish(), [Item::Garbage { bytes: 300, why: Garbage::NoMessage }]);
}

#[test]
fn an_end_inside_a_message_is_reported() {
    let mut assembler = opened(0);
    assert_eq!(assembler.segment(0, false, &echo(1).encode()[..15]), []);
    assert_eq!(assembler.finish(), [Item::Garbage { bytes: 15, why: Garbage::Incomplete }]);
    assert_eq!(assembler.buffered_bytes(), 0);
}

#[test]
fn ports_used_again_are_a_new_connection() {
    let clear = Message::from(CallClearRequest { call_id: 1 });
    let mut assembler = opened(0);
    assembler.segment(0, false, &clear.encode()[..8]);
    assert_eq!(
        assembler.segment(0x7000_0000, true, &[]),
        [Item::Garbage { bytes: 8, why: Garbage::Incomplete }, Item::Restart]
    );
    assert_eq!(
        messages(assembler.segment(0x7000_0001, false, &clear.encode())),
        std::slice::from_ref(&clear)
    );
    // Its SYN was not seen.
    assert_eq!(assembler.segment(0x1000_0000, false, &clear.encode()), [Item::Restart, Item::Message(clear)]);
    // A reset with sequence number 0 says nothing about the stream.
    assert_eq!(assembler.segment(0, false, &[]), []);
}

proptest! {
    #[test]
    fn any_cut_and_any_order_give_the_same_messages(
        expected in proptest::collection::vec(any_message(), 1..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..14),
        first in any::<u32>(),
        order in any::<u64>(),
    ) {
        let bytes: Vec<u8> = expected.iter().flat_map(Message::encode).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut segments: Vec<_> = cuts.windows(2).map(|pair| (pair[0], &bytes[pair[0]..pair[1]])).collect();
        segments.sort_by_key(|(start, _)| (*start as u64 + 1).wrapping_mul(order | 1));

        let mut assembler = opened(first);
        let items: Vec<_> = segments
            .iter()
            .flat_map(|(start, part)| assembler.segment(first.wrapping_add(*start as u32), false, part))
            .collect();
        prop_assert_eq!(items, expected.into_iter().map(Item::Message).collect::<Vec<_>>());
        prop_assert_eq!(assembler.finish(), vec![]);
    }

    #[test]
    fn memory_is_bounded_and_every_byte_is_accounted_for(
        steps in proptest::collection::vec(
            (any::<u16>(), prop::bool::weighted(0.02), proptest::collection::vec(any::<u8>(), 0..2000), any::<bool>()),
            0..60,
        ),
        far in prop::bool::weighted(0.2),
    ) {
        let mut assembler = Assembler::new();
        let (mut fed, mut reported, mut decoded) = (0u64, 0u64, 0u64);
        let mut count = |items: Vec<Item>| for item in items {
            match item {
                Item::Garbage { bytes, .. } => {
                    assert!(bytes > 0 && bytes <= GARBAGE_REPORT_BYTES);
                    reported += bytes;
                }
                Item::Message(message) => decoded += message.encode().len() as u64,
                Item::Gap { .. } | Item::Restart => {}
            }
        };
        for (sequence, syn, mut payload, sound) in steps {
            if sound {
                payload = echo(payload.len() as u32).encode();
            }
            fed += payload.len() as u64;
            let sequence = u32::from(sequence) << if far { 16 } else { 0 };
            count(assembler.segment(sequence, syn, &payload));
            assert!(assembler.buffered_bytes() <= BOUND);
            count(assembler.acknowledged(sequence));
        }
        count(assembler.finish());
        prop_assert_eq!(assembler.buffered_bytes(), 0);
        prop_assert!(reported <= assembler.garbage_bytes());
        prop_assert!(assembler.garbage_bytes() + decoded <= fed);
    }
}
