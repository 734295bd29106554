//! `pptpscope analyze` as a library: files in, events out.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail like the test itself"
)]

mod formats;

use std::io::{Cursor, Write};
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use formats::{packets, pcap, pcapng, relink};
use pptpscope::analysis::{self, Options};
use pptpscope::sink::account::Account;
use pptpscope::source::capture::{Captures, Copies, Input};
use pptpscope_tests::events::{self, Event};
use pptpscope_tests::generate::{self, Plan};
use pptpscope_tests::truth::{self, Window};

const LITTLE: fn(u32) -> [u8; 4] = u32::to_le_bytes;
const BIG: fn(u32) -> [u8; 4] = u32::to_be_bytes;

fn analyze_with(files: Vec<Vec<u8>>, options: &Options) -> Vec<Event> {
    let mut captures = Captures::default();
    for file in files {
        captures.add("test".into(), Ok(Input::new(Cursor::new(file), None).unwrap()));
    }
    let mut text = String::new();
    analysis::run(
        &mut captures,
        options,
        || {},
        |event| {
            text += &serde_json::to_string(event).unwrap();
            text.push('\n');
            Ok::<(), ()>(())
        },
    )
    .unwrap();
    events::parse(&text).unwrap()
}

/// What `pptpscope analyze` without `--json` writes.
fn account(file: Vec<u8>) -> String {
    let mut captures = Captures::default();
    captures.add("test".into(), Ok(Input::new(Cursor::new(file), None).unwrap()));
    let (mut account, mut text) = (Account::new(false), Vec::new());
    analysis::run(&mut captures, &Options::default(), || {}, |event| account.event(event, &mut text))
        .unwrap();
    String::from_utf8(text).unwrap()
}

fn analyze(file: Vec<u8>) -> Vec<Event> {
    analyze_with(vec![file], &Options::default())
}

/// The lines about calls.
fn about_calls(events: &[Event]) -> Vec<String> {
    events.iter().filter(|event| event.session_id().is_some()).map(|event| event.value.to_string()).collect()
}

fn generated(plan: &Plan) -> Vec<u8> {
    let mut file = Vec::new();
    generate::pcap(&mut file, plan).unwrap();
    file
}

const PLAN: Plan = Plan { calls: 3, open: 3, bytes: 30_000, down: 300, up: 60, ends: true };

fn find<'a>(events: &'a [Event], name: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.name == name).collect()
}

/// Packets of a capture: microseconds, and the frame.
type Packets = Vec<(u64, Vec<u8>)>;

#[test]
fn a_generated_capture_is_what_the_second_opinion_says() {
    let file = generated(&PLAN);
    let truth = truth::from_frames(&pptpscope_tests::capture::read(&file).unwrap(), Window::ALL);
    let events = analyze(file.clone());
    assert_eq!(events.first().unwrap().name, "analysis.start");
    let stop = events.last().unwrap();
    assert_eq!(stop.body()["packets"], truth.frames);
    assert_eq!(stop.body()["control"]["submitted"], truth.control_segments);
    assert_eq!(stop.body()["ppp"]["submitted"], truth.negotiation_frames);
    let ends = find(&events, "session.end");
    assert_eq!(ends.len(), truth.calls.len());
    for call in &truth.calls {
        let id = u64::from(call.client_call_id);
        let end = ends.iter().find(|end| end.value["session"]["client_call_id"] == id).unwrap();
        assert_eq!(end.body()["was_up"], true);
        for (name, wanted) in [("from_client", call.from_client), ("from_server", call.from_server)] {
            let counters = &end.body()[name];
            assert_eq!(counters["packets"], wanted.packets);
            assert_eq!(counters["bytes"], wanted.bytes);
            assert_eq!(counters["received"], wanted.books.received);
            assert_eq!(counters["negotiation"], wanted.negotiation);
        }
    }
    let up = find(&events, "session.up")[1];
    assert_eq!(up.body()["user"], "user1");
    assert_eq!(up.body()["mppe"]["bits"], 128);
    assert_eq!(up.body()["client_address"], "172.16.0.1");
}

#[test]
fn the_account_of_a_call_tells_what_came_of_each_layer() {
    let text = account(generated(&Plan { calls: 1, ..PLAN }));
    let begins = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label));
        line.unwrap_or_else(|| panic!("no {label:?} in:\n{text}")).trim_start().to_owned()
    };
    for (label, wanted) in [
        (
            "lcp ",
            "client magic_number 0x01020304 agreed; server authentication_protocol ms_chap_v2, magic_number 0x05060708 agreed",
        ),
        ("auth ", "success, ms_chap_v2, user0"),
        ("ccp ", "agreed"),
        ("ipcp ", "client"),
    ] {
        let line = begins(label);
        assert!(line.contains(wanted), "{line}");
    }
    assert!(begins("lcp ").starts_with("lcp      opened after"), "{text}");
}

#[test]
fn every_format_and_byte_order_tells_the_same() {
    let file = generated(&PLAN);
    let wanted = about_calls(&analyze(file.clone()));
    assert!(wanted.len() > 100);
    let packets = packets(&file);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&file).unwrap();
    let files = [
        ("pcap big", pcap(&packets, 0xa1b2_c3d4, 1000, 1, BIG)),
        ("pcap nanoseconds", pcap(&packets, 0xa1b2_3c4d, 1, 1, LITTLE)),
        ("pcap nanoseconds big", pcap(&packets, 0xa1b2_3c4d, 1, 1, BIG)),
        ("pcapng", pcapng(&packets, 6, |us| us, LITTLE)),
        ("pcapng big", pcapng(&packets, 6, |us| us, BIG)),
        ("pcapng nanoseconds", pcapng(&packets, 9, |us| us * 1000, LITTLE)),
        ("pcapng picoseconds are cut", pcapng(&packets, 10, |us| us * 10_000, BIG)),
        ("gzip", gzip.finish().unwrap()),
    ];
    for (name, file) in files {
        assert_eq!(about_calls(&analyze(file)), wanted, "{name}");
    }
}

#[test]
fn every_link_tells_the_same() {
    let file = generated(&PLAN);
    let wanted = about_calls(&analyze(file.clone()));
    let packets = packets(&file);
    let vlan = |ether: &[u8]| [&ether[..12], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0]].concat();
    let cooked = |ether: &[u8]| [&[0, 0, 0, 1, 0, 6], &ether[6..12], &[0, 0, 8, 0][..]].concat();
    let cooked2 = |_: &[u8]| vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0];
    let pppoe = |ether: &[u8]| [&ether[..12], &[0x88, 0x64, 0x11, 0, 0, 7, 0, 0, 0, 0x21][..]].concat();
    let mpls = |ether: &[u8]| [&ether[..12], &[0x88, 0x47, 0, 0x10, 0, 64, 0, 0x20, 1, 64][..]].concat();
    let air = |ether: &[u8]| {
        let head = [&[0x88, 0x02, 0, 0], &ether[..12], &ether[6..12], &[0, 0, 0, 0][..]].concat();
        [head, vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat()
    };
    let four_in_six =
        |ether: &[u8]| [&ether[..12], &[0x86, 0xdd, 0x60, 0, 0, 0, 9, 9, 4, 64], &[0; 32][..]].concat();
    let links: [(&str, u32, Packets); 13] = [
        ("VLAN in VLAN", 1, relink(&packets, vlan)),
        ("PPPoE", 1, relink(&packets, pppoe)),
        ("MPLS", 1, relink(&packets, mpls)),
        ("IPv4 in IPv6", 1, relink(&packets, four_in_six)),
        ("cooked", 113, relink(&packets, cooked)),
        ("cooked 2", 276, relink(&packets, cooked2)),
        ("raw", 101, relink(&packets, |_| vec![])),
        ("raw 12", 12, relink(&packets, |_| vec![])),
        ("IPv4", 228, relink(&packets, |_| vec![])),
        ("loopback", 0, relink(&packets, |_| vec![2, 0, 0, 0])),
        ("OpenBSD loopback", 108, relink(&packets, |_| vec![0, 0, 0, 2])),
        ("PPP", 9, relink(&packets, |_| vec![0xff, 3, 0, 0x21])),
        ("802.11", 105, relink(&packets, air)),
    ];
    for (name, link_type, packets) in links {
        let file = pcap(&packets, 0xa1b2_c3d4, 1000, link_type, LITTLE);
        assert_eq!(about_calls(&analyze(file)), wanted, "{name}");
    }
}

#[test]
fn several_files_are_merged_by_time() {
    let file = generated(&PLAN);
    let wanted = about_calls(&analyze(file.clone()));
    let all = packets(&file);
    let part = |n: usize| {
        let some: Vec<_> =
            all.iter().enumerate().filter(|(i, _)| i % 3 == n).map(|(_, p)| p.clone()).collect();
        pcap(&some, 0xa1b2_c3d4, 1000, 1, LITTLE)
    };
    let merged = analyze_with(vec![part(2), part(0), part(1)], &Options::default());
    assert_eq!(about_calls(&merged), wanted);
}

/// A duplicate that the network made is a fact about the network; a second sighting is not.
#[test]
fn copies_are_told_from_duplicates() {
    let file = generated(&PLAN);
    let wanted = about_calls(&analyze(file.clone()));
    let all = packets(&file);
    let data_at = all.len() - 40;
    let twice = |every: usize, change: fn(&mut Vec<u8>)| {
        let mut doubled = Vec::new();
        for (index, (at, bytes)) in all.iter().enumerate() {
            doubled.push((*at, bytes.clone()));
            if index % every == 0 && (every == 1 || index >= data_at) {
                let mut copy = bytes.clone();
                change(&mut copy);
                doubled.push((at + 1, copy));
            }
        }
        pcap(&doubled, 0xa1b2_c3d4, 1000, 1, LITTLE)
    };
    let duplicates = |events: &[Event]| -> u64 {
        let ends = find(events, "session.end");
        let of = |end: &&Event, name: &str| end.body()[name]["duplicate"].as_u64().unwrap();
        ends.iter().map(|end| of(end, "from_client") + of(end, "from_server")).sum()
    };
    let options = |copies| Options { copies, ..Options::default() };
    // Some packets twice on one link: the network did it.
    let some = twice(4, |_| {});
    assert!(duplicates(&analyze(some.clone())) >= 5);
    assert_eq!(duplicates(&analyze_with(vec![some], &options(Copies::Drop))), 0);
    // Every packet twice: a mirror port.
    let mirror = twice(1, |_| {});
    let events = analyze(mirror.clone());
    assert_eq!(about_calls(&events), wanted);
    assert_eq!(events.last().unwrap().body()["copies"], all.len() as u64);
    assert!(duplicates(&analyze_with(vec![mirror], &options(Copies::Keep))) > 50);
    // Some packets again between other stations, or one hop later: forwarded.
    let forwarded = twice(4, |bytes| bytes[0] ^= 2);
    assert_eq!(about_calls(&analyze(forwarded)), wanted);
    let routed = twice(4, |bytes| bytes[14 + 8] -= 1);
    assert_eq!(about_calls(&analyze(routed)), wanted);
}

#[test]
fn fragments_count_as_in_the_kernel_and_control_fragments_are_put_together() {
    let file = generated(&Plan { calls: 1, open: 1, bytes: 0, down: 100, up: 60, ends: true });
    let wanted = analyze(file.clone());
    let mut cut = Vec::new();
    for (at, bytes) in packets(&file) {
        let (head, payload) = bytes.split_at(34);
        if payload.len() < 64 {
            cut.push((at, bytes));
            continue;
        }
        for (offset, part, more) in [(0, &payload[..32], 0x20), (4, &payload[32..], 0)] {
            let mut fragment = [head, part].concat();
            fragment[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
            fragment[20..22].copy_from_slice(&[more, offset]);
            cut.push((at, fragment));
        }
    }
    let events = analyze(pcap(&cut, 0xa1b2_c3d4, 1000, 1, LITTLE));
    for name in ["control.message", "session.phase"] {
        let bodies =
            |events: &[Event]| find(events, name).iter().map(|e| e.body().clone()).collect::<Vec<_>>();
        assert_eq!(bodies(&events), bodies(&wanted), "{name}");
    }
    let end = |events: &[Event]| find(events, "session.end")[0].body().clone();
    assert_eq!(end(&events)["from_server"]["packets"], end(&wanted)["from_server"]["packets"]);
    assert!(end(&events)["from_server"]["fragments"].as_u64() > Some(1));
}

#[test]
fn a_cut_file_tells_everything_before_the_cut_and_damage_is_named() {
    let file = generated(&PLAN);
    let mut captures = Captures::default();
    let cut = file[..file.len() - 5].to_vec();
    captures.add("cut".into(), Ok(Input::new(Cursor::new(cut), None).unwrap()));
    let mut damaged = file.clone();
    damaged[24 + 8..24 + 12].copy_from_slice(&[0xff; 4]);
    captures.add("damaged".into(), Ok(Input::new(Cursor::new(damaged), None).unwrap()));
    captures
        .add("text".into(), Ok(Input::new(Cursor::new(b"no capture at all, this".to_vec()), None).unwrap()));
    let mut names = Vec::new();
    analysis::run(
        &mut captures,
        &Options::default(),
        || {},
        |event| {
            names.push(serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned());
            Ok::<(), ()>(())
        },
    )
    .unwrap();
    assert!(names.iter().filter(|name| *name == "session.up").count() == 3);
    let problems: Vec<_> = captures.members().map(|(_, _, problem)| problem.unwrap()).collect();
    assert!(
        problems[0].is_harmless() && problems[0].to_string().contains("ends inside packet"),
        "{problems:?}"
    );
    assert!(!problems[1].is_harmless() && problems[1].to_string().contains("at byte 24"), "{problems:?}");
    assert!(problems[2].to_string().contains("neither pcap nor pcapng"), "{problems:?}");
}

/// Time that jumps, stands still or runs back must not make the reader loop or fail.
#[test]
fn wild_times_are_survived() {
    let file = generated(&PLAN);
    let mut wild = packets(&file);
    for (index, (at, _)) in wild.iter_mut().enumerate() {
        *at = match index % 5 {
            0 => 0,
            1 => u64::from(u32::MAX) * 1_000_000,
            2 => *at,
            3 => *at + 86_400_000_000 * 365,
            _ => *at - 3_600_000_000,
        };
    }
    let events = analyze(pcap(&wild, 0xa1b2_c3d4, 1000, 1, LITTLE));
    assert_eq!(events.last().unwrap().name, "analysis.stop");
}

/// A resolution of time may make any tick the end of time; timers must still find a later one.
#[test]
fn the_end_of_time_is_survived() {
    let file = generated(&Plan { calls: 1, open: 1, bytes: 0, down: 50, up: 50, ends: true });
    let ends = pcapng(&packets(&file), 0, |us| us, LITTLE);
    assert_eq!(analyze(ends).last().unwrap().name, "analysis.stop");
}

/// Reads it for nothing but to survive.
fn survive(file: Vec<u8>) {
    let mut captures = Captures::default();
    captures.add("test".into(), Ok(Input::new(Cursor::new(file), None).unwrap()));
    analysis::run(&mut captures, &Options::default(), || {}, |_| Ok::<(), ()>(())).unwrap();
}

/// Many lengths, and bytes turned over in both formats; the fuzz target does the rest.
#[test]
fn no_damage_makes_it_panic() {
    let file = generated(&Plan { calls: 1, open: 1, bytes: 0, down: 50, up: 50, ends: true });
    let ng = pcapng(&packets(&file), 6, |us| us, LITTLE);
    for file in [file, ng] {
        for length in (0..file.len()).step_by(7) {
            survive(file[..length].to_vec());
        }
        for at in (0..file.len()).step_by(3) {
            let mut damaged = file.clone();
            damaged[at] ^= [0xff, 0x01, 0x80][at % 7 % 3];
            survive(damaged);
        }
    }
}

// --- Public captures ---

/// Captures that are not part of the project.
fn public(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures").join(name);
    let path = if path.exists() {
        path
    } else {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures").join(name)
    };
    let file = std::fs::read(&path).ok();
    if file.is_none() {
        eprintln!("SKIPPED: {name} is not in ../shared/captures");
    }
    file
}

#[test]
fn the_successful_session_is_read_rightly() {
    let Some(file) = public("john-samples__lulu-password-pptp.pcap") else { return };
    let events = analyze(file);
    let up = find(&events, "session.up")[0].body();
    assert_eq!(up["user"], "lulu");
    assert_eq!(up["auth_protocol"], "ms_chap_v2");
    assert_eq!((&up["mppe"]["bits"], &up["mppe"]["stateful"]), (&128.into(), &false.into()));
    assert_eq!(
        (&up["client_address"], &up["server_address"]),
        (&"192.168.2.234".into(), &"192.168.2.2".into())
    );
    let messages = find(&events, "control.message");
    let infos = messages.iter().filter(|event| event.body()["message"] == "set_link_info");
    assert_eq!(infos.count(), 2);
    assert!(events.iter().all(|event| event.value["severity"] != "warning"), "no failure");

    let proof = find(&events, "auth.result")[0].body();
    assert_eq!((&proof["outcome"], &proof["protocol"]), (&"success".into(), &"ms_chap_v2".into()));
    assert_eq!((&proof["identity"], &proof["attempt"]), (&"lulu".into(), &1.into()));
    assert!(proof["response_ns"].as_u64() > Some(0) && proof["result_ns"].as_u64() > Some(0));
    let outcomes: Vec<_> = find(&events, "ppp.summary")
        .iter()
        .map(|event| (event.body()["protocol"].as_str().unwrap(), event.body()["outcome"].as_str().unwrap()))
        .collect();
    // The server speaks no IPv6, and says so.
    let expected = [("lcp", "opened"), ("ipv6cp", "rejected"), ("ccp", "opened"), ("ipcp", "opened")];
    assert_eq!(outcomes, expected);
    let software = (&up["client_peer"]["software"], &up["server_peer"]["software"]);
    assert_eq!(software, (&"microsoft".into(), &"pptpd".into()));
}

#[test]
fn the_start_failure_is_a_server_that_never_sent_lcp() {
    let Some(file) = public("tcpdump__pptp.pcap") else { return };
    let events = analyze(file);
    let end = find(&events, "session.end")[0].body();
    assert_eq!(end["was_up"], false);
    assert_eq!(end["last_phase"], "lcp");
    assert_eq!((&end["reason"], &end["by"]), (&"tcp_fin".into(), &"server".into()));
    assert_eq!((&end["from_server"]["packets"], &end["from_client"]["packets"]), (&0.into(), &1.into()));
    let link = &end["negotiation"][0];
    assert_eq!((&link["protocol"], &link["outcome"]), (&"lcp".into(), &"unanswered".into()));
    assert_eq!((&link["client"]["requests"], &link["server"]["requests"]), (&1.into(), &0.into()));
    // Each packet of the server is in the file twice.
    assert_eq!(events.last().unwrap().body()["copies"], 8);
    assert_eq!(find(&events, "control.message").len(), 5);
}

#[test]
fn other_tunnels_are_nobodys_call() {
    let Some(file) = public("tcpdump__various_gre.pcap") else { return };
    let events = analyze(file);
    assert_eq!(events.iter().filter(|event| event.session_id().is_some()).count(), 0);
    assert_eq!(events.last().unwrap().body()["refused"]["version_0"], 30);
}

#[test]
fn a_capture_without_control_connection_yields_a_call() {
    let Some(file) = public("zeek__gre-pptp.pcap") else { return };
    let events = analyze(file);
    let start = find(&events, "session.start");
    assert_eq!(start.len(), 1);
    assert_eq!(start[0].body()["origin"], "traffic");
    let session = &start[0].value["session"];
    assert_eq!((&session["client_call_id"], &session["server_call_id"]), (&17.into(), &6016.into()));
    assert_eq!(find(&events, "session.up").len(), 1);
}
