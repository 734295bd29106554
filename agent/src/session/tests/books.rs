//! The books of a call, from made-up counters.

use pptpscope_common::drop::Reason;

use super::script::{CLIENT, SERVER, Script};
use crate::event::books::{Books, Datapath, Stage};
use crate::event::drop::{Drop, DropReason, DropStage};
use crate::event::{Body, Party, Severity};
use crate::observation::{CallCounts, Flow, Origin, UnitCounts, What};
use crate::session::BookSums;
use crate::time::Timestamp;
use crate::wire::tcp::Flags;

const UNIT: u32 = 7;

/// A call that is up, whose unit came after the call began; probes count since before.
fn up() -> (Script, Timestamp) {
    let mut script = Script::new();
    let before = script.now;
    script.connect();
    script.call();
    script.lcp();
    script.challenge_and_response("alice");
    script.chap_success();
    script.ipcp();
    script.interface(UNIT);
    (script, before)
}

fn data(packets: u64) -> Flow {
    Flow { packets, ..Flow::default() }
}

/// Counters of one look: from the network, at each stage, to the network.
#[derive(Clone, Copy)]
struct Seen {
    uplink: u64,
    channel: u64,
    unit: u64,
    interface: u64,
    out: u64,
    uplink_out: u64,
    /// Of what came from the network.
    duplicate: u64,
    reordered: u64,
}

impl Seen {
    fn all(count: u64) -> Self {
        Self {
            uplink: count,
            channel: count,
            unit: count,
            interface: count,
            out: count,
            uplink_out: count,
            duplicate: 0,
            reordered: 0,
        }
    }
}

fn look(script: &mut Script, since: Timestamp, seen: Seen) {
    let counts = UnitCounts {
        index: UNIT,
        counted_since: Some(since),
        channel_in: Some(seen.channel),
        unit_in: Some(seen.unit),
        unit_control: Some(4),
        unit_out: Some(seen.out),
        rx_packets: Some(seen.interface + 4),
        ..UnitCounts::default()
    };
    script.observe(Origin::Counters, What::Unit(counts));
    let mut from_client = data(seen.uplink);
    from_client.sequence.duplicate = seen.duplicate;
    from_client.sequence.reordered = seen.reordered;
    script.counters(Party::Client, from_client);
    script.counters(Party::Server, data(seen.uplink_out));
    let drops_at = script.now;
    script.observe(Origin::Counters, What::Look { drops_at });
}

fn drop_of(reason: Reason, count: u64, call_id: u16) -> What {
    What::Drop(Drop {
        reason: DropReason(reason),
        harmful: reason.is_harmful(),
        count,
        total: count,
        stage: DropStage::Outer,
        location: None,
        kernel_reason: None,
        hook: None,
        rule: None,
        source: Some(CLIENT),
        destination: Some(SERVER),
        call_id: Some(call_id),
        ifindex: None,
    })
}

fn last_books(script: &Script) -> (&Books, Severity) {
    let mut books = script.events.iter().rev().filter_map(|event| match &event.body {
        Body::Books { books } => Some((books, event.severity)),
        _ => None,
    });
    books.next().expect("books are reported")
}

#[test]
fn a_healthy_call_balances_and_names_its_stages() {
    let (mut script, since) = up();
    look(&mut script, since, Seen { channel: 90, unit: 90, interface: 90, ..Seen::all(100) });
    script.wait_ms(10_000);
    let (books, severity) = last_books(&script);
    assert_eq!((books.received.unaccounted, books.received.in_transit), (Some(0), 10));
    look(&mut script, since, Seen::all(100));
    script.wait_ms(10_000);
    look(&mut script, since, Seen::all(100));
    assert_eq!(script.correlator.books(), BookSums { received: 100, sent: 100, unaccounted: 0 });
    let host = script.correlator.host_books();
    let books = last_books(&script).0;
    assert_eq!((host.len(), host[0].calls, host[0].datapath), (1, 1, books.datapath));
    assert_eq!((&host[0].received, &host[0].sent), (&books.received, &books.sent));
    let stages: Vec<_> = books.received.stages.iter().map(|book| (book.stage, book.packets)).collect();
    let all = [Stage::Uplink, Stage::Channel, Stage::Unit, Stage::Interface];
    assert_eq!(stages, all.map(|stage| (stage, 100)));
    assert_eq!(books.sent.unaccounted, Some(0));
    assert_eq!(severity, Severity::Info);
    assert!(!books.is_final);
}

#[test]
fn what_is_missing_is_booked_or_unaccounted() {
    let (mut script, since) = up();
    let call_id = script.server_call_id;
    look(&mut script, since, Seen { channel: 90, unit: 90, interface: 88, ..Seen::all(100) });
    script.observe(Origin::Path, drop_of(Reason::RawSocketFull, 7, call_id));
    script.wait_ms(1_000);
    look(&mut script, since, Seen { channel: 90, unit: 90, interface: 88, ..Seen::all(100) });
    assert_eq!(script.correlator.books().unaccounted, 3 + 2);
    script.wait_ms(10_000);
    let (books, severity) = last_books(&script);
    assert_eq!(severity, Severity::Warning);
    let uplink = &books.received.stages[0];
    let lost: Vec<_> = uplink.lost.iter().map(|loss| (loss.reason.0, loss.packets)).collect();
    assert_eq!((uplink.unaccounted, lost), (3, vec![(Reason::RawSocketFull, 7)]));
    assert_eq!(books.received.stages[2].unaccounted, 2);
}

#[test]
fn a_daemon_may_discard_what_came_out_of_order_but_no_more() {
    let (mut script, since) = up();
    for _ in 0..2 {
        let disorder = Seen { duplicate: 4, reordered: 2, ..Seen::all(100) };
        look(&mut script, since, Seen { channel: 90, unit: 90, interface: 90, ..disorder });
        script.wait_ms(10_000);
    }
    let (books, _) = last_books(&script);
    assert_eq!(books.received.stages[0].unaccounted, 4);
    let lost: Vec<_> =
        books.received.stages[0].lost.iter().map(|loss| (loss.reason.0, loss.packets)).collect();
    assert_eq!(lost, [(Reason::DaemonDiscarded, 6)]);
}

#[test]
fn the_kernels_own_datapath_has_a_socket_and_no_excuse() {
    let (mut script, since) = up();
    let flow = script.flow_from(Party::Client);
    for _ in 0..2 {
        let counts = CallCounts { flow, socket_in: Some(100), delivered: None, interface: Some(UNIT) };
        script.observe(Origin::Counters, What::Call(counts));
        look(&mut script, since, Seen { channel: 96, unit: 96, interface: 96, ..Seen::all(100) });
        script.wait_ms(10_000);
    }
    let (books, _) = last_books(&script);
    assert_eq!(books.datapath, Datapath::Kernel);
    let missing: Vec<_> = books.received.stages.iter().map(|book| (book.stage, book.unaccounted)).collect();
    assert_eq!(missing[..2], [(Stage::Uplink, 0), (Stage::Socket, 4)]);
}

#[test]
fn a_unit_may_be_older_than_its_call() {
    let mut script = Script::new();
    let since = script.now;
    script.interface(UNIT);
    script.up();
    for _ in 0..2 {
        look(&mut script, since, Seen::all(20));
        script.wait_ms(10_000);
    }
    assert_eq!(script.correlator.books(), BookSums { received: 20, sent: 20, unaccounted: 0 });
}

#[test]
fn a_unit_that_is_older_than_the_probes_counts_from_where_it_is_met() {
    let mut script = Script::new();
    script.interface(UNIT);
    script.up();
    // Whatever it carried before was not seen on the wire.
    let since = script.now;
    look(&mut script, since, Seen { interface: 5000, channel: 3, ..Seen::all(10) });
    script.wait_ms(10_000);
    look(&mut script, since, Seen { interface: 5010, channel: 13, ..Seen::all(20) });
    script.wait_ms(10_000);
    look(&mut script, since, Seen { interface: 5010, channel: 13, ..Seen::all(20) });
    assert_eq!(script.correlator.books().unaccounted, 0);
    assert_eq!(script.correlator.books().received, 10);
}

#[test]
fn the_last_books_come_with_the_end_and_stay_in_the_sums() {
    let (mut script, since) = up();
    look(&mut script, since, Seen { channel: 99, unit: 99, interface: 99, ..Seen::all(100) });
    script.wait_ms(10_000);
    look(&mut script, since, Seen { channel: 99, unit: 99, interface: 99, ..Seen::all(100) });
    script.observe(Origin::Devices, What::InterfaceGone(UNIT));
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(2_000);
    let (books, _) = last_books(&script);
    assert!(books.is_final);
    assert_eq!(books.received.unaccounted, Some(1));
    assert_eq!(script.correlator.books(), BookSums { received: 100, sent: 100, unaccounted: 1 });
}

#[test]
fn a_stall_begins_with_its_cause_and_ends_with_a_reset() {
    use crate::event::mppe::StallState::*;
    let (mut script, _) = up();
    let call_id = script.server_call_id;
    for (reason, count) in [
        (Reason::MppeLate, 1),
        (Reason::MppeStalled, 6),
        (Reason::MppeReset, 1),
        (Reason::MppeReset, 1),
        (Reason::MppeBadBits, 2),
        (Reason::PppReceiveError, 3),
        (Reason::MppeReset, 1),
    ] {
        script.observe(Origin::Path, drop_of(reason, count, call_id));
    }
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(2_000);
    let told: Vec<_> = script
        .events
        .iter()
        .filter_map(|event| match &event.body {
            Body::MppeStall { mppe_stall: stall } => Some((stall.state, stall.cause.0, stall.frames)),
            _ => None,
        })
        .collect();
    let expected = [
        (Begun, Reason::MppeLate, 1),
        (Ended, Reason::MppeLate, 7),
        (Begun, Reason::MppeBadBits, 2),
        (Fatal, Reason::MppeBadBits, 5),
        (CallEnded, Reason::MppeBadBits, 5),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_books_of_the_host_keep_what_calls_have_left() {
    let (mut script, since) = up();
    look(&mut script, since, Seen { channel: 95, unit: 95, interface: 95, ..Seen::all(100) });
    script.observe(Origin::Path, drop_of(Reason::NetfilterDrop, 3, 22));
    script.wait_ms(2_000);
    look(&mut script, since, Seen { channel: 95, unit: 95, interface: 95, ..Seen::all(100) });
    let before = script.correlator.host_books();
    assert_eq!(before[0].received.unaccounted, Some(2), "{before:?}");
    script.segment(Party::Client, &[Flags::RST], &[]);
    script.wait_ms(40_000);
    assert_eq!(script.correlator.host_books(), before, "the call is over");
    let lost = &before[0].received.stages[0].lost;
    assert_eq!((lost.len(), lost[0].packets), (1, 3));
}
