//! What daemons say, joined to calls and to each other.

use std::net::{Ipv4Addr, SocketAddrV4};

use jiff::tz::TimeZone;

use super::super::{Config, Correlator};
use crate::event::log::{Confidence, Key};
use crate::event::session::{Cause, Phase};
use crate::event::{Body, Event, Party};
use crate::logs::reader::{Reader, Settings};
use crate::observation::{Clock, Direction, Observation, Origin, Process, Segment, What};
use crate::time::Timestamp;
use crate::wire::ppp::cp::Body::ConfigureRequest;
use crate::wire::ppp::{Frame, lcp};
use crate::wire::tcp::Flags;

const VPN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 1723);

/// A correlator, and a log that it reads.
struct Bench {
    correlator: Correlator,
    reader: Reader,
    events: Vec<Event>,
}

impl Bench {
    fn new(sessions_from_logs: bool) -> Self {
        Self {
            correlator: Correlator::new(Config {
                sessions_from_logs,
                all_log_lines: true,
                ..Config::for_host("vpn")
            }),
            reader: Reader::new(Settings {
                source: "syslog".into(),
                zone: TimeZone::UTC,
                zone_given: true,
                reference: at(0),
                boot: None,
            }),
            events: Vec::new(),
        }
    }

    /// `HH:MM:SS program[pid]: text` of the day of [`at`].
    fn say(&mut self, line: &str) {
        let (time, rest) = line.split_once(' ').unwrap();
        let line = format!("2026-11-22T{time}Z vpn {rest}");
        let observation = self.reader.line(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        self.correlator.observe(&observation, &mut self.events);
    }

    fn parent(&mut self, pid: u32, parent: u32) {
        let what = What::Process(Process { pid, parent });
        let observation = Observation { at: at(0), clock: Clock::Agent, origin: Origin::Processes, what };
        self.correlator.observe(&observation, &mut self.events);
    }

    fn syn(&mut self, second: u64, client: [u8; 4]) {
        self.syn_from(second, client, 40_000 + u16::from(client[3]));
    }

    fn syn_from(&mut self, second: u64, client: [u8; 4], port: u16) {
        let client = SocketAddrV4::new(client.into(), port);
        self.segment(second, (client, VPN), Flags::SYN);
    }

    /// The kernel of the server answers what [`Self::syn`] sent.
    fn syn_ack(&mut self, second: u64, client: [u8; 4]) {
        let port = 40_000 + u16::from(client[3]);
        let client = SocketAddrV4::new(client.into(), port);
        self.segment(second, (VPN, client), Flags::from(u8::from(Flags::SYN) | u8::from(Flags::ACK)));
    }

    fn segment(&mut self, second: u64, ends: (SocketAddrV4, SocketAddrV4), flags: Flags) {
        let what = What::Segment(Segment {
            source: ends.0,
            destination: ends.1,
            flags,
            sequence: 1,
            acknowledgement: None,
            payload: bytes::Bytes::new(),
        });
        let direction = if ends.1 == VPN { Direction::Ingress } else { Direction::Egress };
        let origin = Origin::Wire { ifindex: 2, direction };
        let observation = Observation { at: at(second), clock: Clock::Kernel, origin, what };
        self.correlator.observe(&observation, &mut self.events);
    }

    /// Ids of the sessions that lines of this process were joined to, and the keys.
    fn joins(&self, pid: u32) -> Vec<(Option<uuid::Uuid>, Option<Key>)> {
        let of = |event: &Event| match &event.body {
            Body::Log { log } if log.pid == Some(pid) => {
                Some((event.session.as_ref().map(|session| session.id), log.join.map(|join| join.key)))
            }
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }
}

fn at(second: u64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + std::time::Duration::from_secs(second)
}

#[test]
fn a_log_alone_makes_sessions() {
    let mut bench = Bench::new(true);
    for line in [
        "10:00:00 pptpd[100]: CTRL: Client 192.0.2.7 control connection started",
        "10:00:00 pptpd[100]: CTRL: Starting call (launching pppd, opening GRE)",
        "10:00:00 pppd[101]: pppd 2.4.9 started by root, uid 0",
        "10:00:00 pppd[101]: Using interface ppp0",
        "10:00:00 pppd[101]: Connect: ppp0 <--> /dev/pts/0",
        "10:00:01 pppd[101]: peer from calling number 192.0.2.7 authorized",
        "10:00:01 pppd[101]: MPPE 128-bit stateless compression enabled",
        "10:00:02 pppd[101]: local  IP address 10.0.0.1",
        "10:00:02 pppd[101]: remote IP address 10.0.0.9",
        "10:09:00 pppd[101]: No response to 4 echo-requests",
        "10:09:00 pppd[101]: Serial link appears to be disconnected.",
        "10:09:03 pppd[101]: Connection terminated.",
        "10:09:03 pppd[101]: Modem hangup",
        "10:09:03 pppd[101]: Exit.",
        "10:09:03 pptpd[100]: CTRL: Client 192.0.2.7 control connection finished",
    ] {
        bench.say(line);
    }
    let up = bench.events.iter().find_map(|event| match &event.body {
        Body::SessionUp { session_up } => Some(session_up.clone()),
        _ => None,
    });
    let up = up.unwrap();
    assert_eq!(up.client_address, Some([10, 0, 0, 9].into()));
    assert_eq!(up.mppe.map(|mppe| (mppe.bits, mppe.stateful)), Some((128, false)));
    assert_eq!(up.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [100, 101]);
    let ends: Vec<_> =
        bench.events.iter().filter(|event| matches!(event.body, Body::SessionEnd { .. })).collect();
    let [end] = ends.as_slice() else { panic!("{ends:#?}") };
    let Body::SessionEnd { session_end } = &end.body else { panic!() };
    assert_eq!(session_end.log_message.as_deref(), Some("pppd.no_response_to_echo_requests"));
    assert!(session_end.was_up && session_end.from_client.is_none());
    assert_eq!(session_end.duration_ns, 543_000_000_000);
    let session = end.session.as_ref().unwrap();
    assert_eq!((session.client, session.interface.as_deref()), (Some([192, 0, 2, 7].into()), Some("ppp0")));
    let ids: std::collections::BTreeSet<_> =
        bench.joins(100).into_iter().chain(bench.joins(101)).map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn a_refusal_is_the_cause_of_the_end() {
    let mut bench = Bench::new(true);
    for line in [
        "10:00:00 pppd[7]: pppd 2.5.2 started by root, uid 0",
        "10:00:00 pppd[7]: Using interface ppp0",
        "10:00:01 pppd[7]: Peer anna failed CHAP authentication",
        "10:00:01 pppd[7]: Connection terminated.",
        "10:00:01 pppd[7]: Exit.",
        // The process id is used again.
        "10:05:00 pppd[7]: pppd 2.5.2 started by root, uid 0",
        "10:05:00 pppd[7]: Using interface ppp0",
        "10:05:30 pppd[7]: LCP: timeout sending Config-Requests",
        "10:05:30 pppd[7]: Exit.",
    ] {
        bench.say(line);
    }
    let ends: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match &event.body {
            Body::SessionEnd { session_end } => Some((
                session_end.reason,
                session_end.last_phase,
                event.session.clone().unwrap().user.clone(),
                session_end.log_message.clone().unwrap(),
            )),
            _ => None,
        })
        .collect();
    let user = Some("anna".to_owned());
    assert_eq!(
        ends,
        [
            (
                Cause::AuthenticationFailed,
                Phase::Lcp,
                user,
                "pppd.peer_failed_chap_authentication".to_owned()
            ),
            (Cause::LogMessage, Phase::Lcp, None, "pppd.timeout_sending_config_requests".to_owned()),
        ]
    );
}

#[test]
fn lines_of_freeradius_find_the_call_that_its_daemons_have_found() {
    for sessions_from_logs in [false, true] {
        let mut bench = Bench::new(sessions_from_logs);
        for client in [7, 8] {
            if !sessions_from_logs {
                bench.syn(6, [192, 0, 2, client]);
            }
            let pid = 93 + u32::from(client);
            bench.say(&format!(
                "10:00:06 pptpd[{pid}]: CTRL: Client 192.0.2.{client} control connection started"
            ));
        }
        bench.say("10:00:08 radiusd[9]: (0) Login incorrect (mschap: no): [anna] (from client lab port 0 cli 192.0.2.7)");
        bench.say("10:00:08 radiusd[9]: (1) Login incorrect (mschap: no): [anna] (from client lab port 0 cli 192.0.2.9)");
        let call = bench.joins(100)[0].0;
        assert!(call.is_some());
        assert_eq!(bench.joins(9), [(call, Some(Key::ClientAddress)), (None, None)]);
    }
}

#[test]
fn a_slow_logger_speaks_of_a_call_that_is_over() {
    let mut bench = Bench::new(false);
    bench.syn(6, [192, 0, 2, 7]);
    bench.correlator.advance(at(900), &mut bench.events);
    bench.correlator.advance(at(902), &mut bench.events);
    assert_eq!(bench.correlator.calls.len(), 0);
    let call = bench.events.iter().find_map(|event| event.session.as_ref().map(|session| session.id));
    bench.say("10:00:07 pptpd[100]: CTRL: Client 192.0.2.7 control connection started");
    bench.say("10:00:07 pptpd[100]: CTRL: Starting call (launching pppd, opening GRE)");
    // Another worker of the same client began later: it is not of that call.
    bench.say("10:00:07 pptpd[200]: CTRL: Client 192.0.2.7 control connection started");
    let of = |pid| bench.joins(pid).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(of(100), [call, call]);
    assert_eq!(of(200), [None]);
}

#[test]
fn a_daemon_at_its_limit_takes_a_call_late() {
    let mut bench = Bench::new(false);
    bench.syn(6, [192, 0, 2, 7]);
    // Another one of the same client, which the kernel has not answered.
    bench.syn_from(7, [192, 0, 2, 7], 50_000);
    bench.syn_ack(7, [192, 0, 2, 7]);
    bench.syn(16, [192, 0, 2, 7]);
    bench.say("10:00:18 pptpd[100]: CTRL: Client 192.0.2.7 control connection started");
    let call = bench.events.iter().find_map(|event| event.session.as_ref().map(|session| session.id));
    assert!(call.is_some());
    assert_eq!(bench.joins(100), [(call, Some(Key::ClientAddress))]);
    // Nothing of the call was seen for long: the worker is of one that was not seen.
    let mut bench = Bench::new(false);
    bench.syn(6, [192, 0, 2, 7]);
    bench.syn_ack(7, [192, 0, 2, 7]);
    bench.say("10:00:18 pptpd[100]: CTRL: Client 192.0.2.7 control connection started");
    assert_eq!(bench.joins(100), [(None, None)]);
}

#[test]
fn a_log_that_begins_in_mid_call_makes_one_session_of_it() {
    let ends = |lines: &[&str]| {
        let mut bench = Bench::new(true);
        for line in lines {
            bench.say(line);
        }
        let count = |is: fn(&Body) -> bool| bench.events.iter().filter(|event| is(&event.body)).count();
        let begun = count(|body| matches!(body, Body::SessionStart { .. }));
        let ended = count(|body| matches!(body, Body::SessionEnd { .. }));
        let ids: std::collections::BTreeSet<_> =
            bench.joins(100).into_iter().chain(bench.joins(101)).map(|(id, _)| id).collect();
        (begun, ended, ids.len())
    };
    let pppd = "10:00:00 pppd[101]: In file /etc/ppp/pptpd-options: unrecognized option 'x'";
    let worker = "10:00:00 pptpd[100]: CTRL: PTY read or GRE write failed (pty,gre)=(6,7)";
    let rest = [
        "10:00:00 pptpd[100]: CTRL: Reaping child PPP[101]",
        "10:00:00 pptpd[100]: CTRL: Client 192.0.2.7 control connection finished",
    ];
    assert_eq!(ends(&[pppd, worker, rest[0], rest[1]]), (1, 1, 1));
    assert_eq!(ends(&[worker, pppd, rest[0], rest[1]]), (1, 1, 1));
    // Too far from each other to be told at once: the mistake has an end, too.
    let far = pppd.replace("101", "140");
    let reaps = rest[0].replace("101", "140");
    let (begun, ended, _) = ends(&[&far, worker, &reaps, rest[1]]);
    assert_eq!((begun, ended), (2, 2));
    // A worker that is known to have begun does not take the pppd of another one.
    let begins = "10:00:00 pptpd[100]: CTRL: Client 192.0.2.7 control connection started";
    assert_eq!(ends(&[begins, pppd]).0, 2);
}

#[test]
fn five_clients_at_once_each_get_their_lines() {
    for parents in [true, false] {
        let mut bench = Bench::new(false);
        for client in 1..=5u8 {
            bench.syn(6, [192, 0, 2, client]);
        }
        // Workers start, then all pppd, in another order than their workers.
        for client in 1..=5u32 {
            bench.say(&format!(
                "10:00:06 pptpd[{}]: CTRL: Client 192.0.2.{client} control connection started",
                100 + client
            ));
            bench.say(&format!(
                "10:00:06 pptpd[{}]: CTRL: Starting call (launching pppd, opening GRE)",
                100 + client
            ));
        }
        for client in [3u32, 1, 5, 2, 4] {
            if parents {
                bench.parent(200 + client, 100 + client);
            }
            bench.say(&format!("10:00:06 pppd[{}]: pppd 2.4.9 started by root, uid 0", 200 + client));
        }
        for client in [5u32, 4, 3, 2, 1] {
            bench.say(&format!("10:00:07 pppd[{}]: Using interface ppp{client}", 200 + client));
            bench.say(&format!(
                "10:00:08 pppd[{}]: peer from calling number 192.0.2.{client} authorized",
                200 + client
            ));
            bench.say(&format!("10:00:09 pppd[{}]: remote IP address 10.0.0.{client}", 200 + client));
        }
        let mut seen = std::collections::BTreeSet::new();
        for client in 1..=5u32 {
            let (worker, _) = bench.joins(100 + client)[0];
            assert!(worker.is_some() && seen.insert(worker), "worker {client}");
            let lines = bench.joins(200 + client);
            assert_eq!(lines.len(), 4);
            // Without the process table, what was said before the calling number waits for it.
            for (session, key) in &lines {
                assert_eq!((*session, key.is_some()), (worker, true), "client {client}, parents {parents}");
            }
        }
        let names =
            bench.correlator.calls.iter().filter_map(|(_, call)| Some((call.client, call.interface()?)));
        for (client, interface) in names {
            assert_eq!(format!("ppp{}", client.octets()[3]), interface, "parents {parents}");
        }
        let low = bench.events.iter().any(|event| match &event.body {
            Body::Log { log } => log.join.is_some_and(|join| join.confidence == Confidence::Low),
            _ => false,
        });
        assert!(!low);
    }
}

/// Two workers that start their pppd in the same second.
fn two_workers() -> Bench {
    let mut bench = Bench::new(false);
    for client in 1..=2u8 {
        bench.syn(6, [192, 0, 2, client]);
    }
    for client in 1..=2u32 {
        let worker = 100 + client;
        bench.say(&format!(
            "10:00:06 pptpd[{worker}]: CTRL: Client 192.0.2.{client} control connection started"
        ));
        bench.say(&format!("10:00:06 pptpd[{worker}]: CTRL: Starting call (launching pppd, opening GRE)"));
    }
    bench
}

#[test]
fn where_one_worker_is_left_its_pppd_is_known() {
    let mut bench = two_workers();
    // The host is slow, and this one was gone before anybody could ask for its parent.
    bench.say("10:00:14 pppd[202]: pppd 2.4.9 started by root, uid 0");
    bench.say("10:00:14 pppd[202]: Using interface ppp1");
    assert!(bench.joins(202).is_empty(), "it may be of either");
    bench.parent(201, 101);
    bench.say("10:00:14 pppd[201]: pppd 2.4.9 started by root, uid 0");
    bench.say("10:00:15 pppd[202]: Connect: ppp1 <--> /dev/pts/1");
    bench.say("10:00:15 pppd[201]: Using interface ppp0");
    let session = |pid| bench.joins(pid)[0].0;
    assert!(session(101).is_some() && session(101) != session(102));
    assert!(bench.joins(202).iter().all(|(joined, _)| *joined == session(102)));
    assert_eq!(bench.joins(202).len(), 3);
    assert_eq!(bench.joins(201), [(session(101), Some(Key::ParentPid)), (session(101), Some(Key::Pid))]);
    let interfaces: Vec<_> = bench.correlator.calls.iter().filter_map(|(_, call)| call.interface()).collect();
    assert_eq!(interfaces, ["ppp0", "ppp1"]);
}

#[test]
fn the_magic_number_on_the_wire_tells_whose_pppd_it_is() {
    let mut bench = two_workers();
    bench.say("10:00:07 pppd[202]: pppd 2.4.9 started by root, uid 0");
    bench
        .say("10:00:07 pppd[202]: sent [LCP ConfReq id=0x1 <mru 1400> <auth chap MS-v2> <magic 0x1f03228c>]");
    // A client cannot say it is another's server.
    let frame = |magic| {
        Frame::Lcp(lcp::Packet {
            id: 1,
            body: ConfigureRequest { options: vec![lcp::LcpOption::MagicNumber { magic }] },
        })
    };
    let serials: Vec<_> = bench.correlator.calls.iter().map(|(serial, _)| *serial).collect();
    bench.correlator.logs.note_magic(serials[0], Party::Client, &frame(0x1f03_228c));
    bench.say("10:00:07 pppd[202]: Using interface ppp0");
    assert!(bench.joins(202).is_empty());
    bench.correlator.logs.note_magic(serials[1], Party::Server, &frame(0x1f03_228c));
    bench.say("10:00:07 pppd[202]: Connect: ppp0 <--> /dev/pts/1");
    let second = bench.joins(102)[0].0;
    assert_eq!(bench.joins(202), vec![(second, Some(Key::Frame)); 4]);
}

#[test]
fn what_nobody_tells_goes_to_the_likeliest_call() {
    let mut bench = two_workers();
    bench.say("10:00:07 pppd[202]: pppd 2.4.9 started by root, uid 0");
    bench.say("10:00:08 pptpd[102]: GRE: read(fd=6,buffer=6078c0,len=8196) from PTY failed: status = -1 error = Input/output error");
    assert!(bench.joins(202).is_empty());
    bench.correlator.advance(at(8), &mut bench.events);
    // A log of another clock, or a slow one, ends no wait.
    bench.say("10:59:00 pppd[202]: Using interface ppp0");
    bench.correlator.advance(at(17), &mut bench.events);
    assert!(bench.joins(202).is_empty());
    assert!(bench.correlator.next_deadline().is_some_and(|due| due <= at(18)));
    bench.correlator.advance(at(18), &mut bench.events);
    assert_eq!(bench.joins(202)[0], (bench.joins(101)[0].0, Some(Key::Time)));
    // The worker says whose it was: too late for what has been reported.
    bench.say("10:00:19 pptpd[102]: CTRL: Reaping child PPP[202]");
    bench.say("10:00:19 pppd[202]: Exit.");
    assert_eq!(bench.joins(202)[2].0, bench.joins(102)[0].0);

    let mut bench = two_workers();
    bench.say("10:00:07 pppd[202]: pppd 2.4.9 started by root, uid 0");
    assert!(bench.correlator.finish(at(8), &mut bench.events));
    assert_eq!(bench.joins(202).len(), 1, "the end of the log is the end of waiting");
}

#[test]
fn a_call_that_fails_takes_the_lines_of_its_own_pppd() {
    // Without the debug line by which a worker names its child, and with a plugin, which speaks before pppd starts.
    let mut bench = two_workers();
    for pid in [201, 202] {
        bench.say(&format!("10:00:07 pppd[{pid}]: Plugin radius.so loaded."));
        bench.say(&format!("10:00:07 pppd[{pid}]: pppd 2.4.9 started by root, uid 0"));
    }
    bench.say("10:00:08 pppd[202]: Peer alice failed CHAP authentication");
    bench.say("10:00:08 pppd[202]: Connection terminated.");
    bench.say("10:00:08 pppd[202]: Exit.");
    bench.say("10:00:08 pptpd[102]: CTRL: Client 192.0.2.2 control connection finished");
    let session = |pid| bench.joins(pid)[0].0;
    assert_eq!(bench.joins(202), [(session(102), Some(Key::Time)); 5]);
    // One worker is left for the other one.
    assert_eq!(bench.joins(201), [(session(101), Some(Key::Time)); 2]);
}

#[test]
fn a_worker_that_comes_later_has_not_started_what_spoke_before() {
    let mut bench = two_workers();
    bench.say("10:00:12 pppd[202]: pppd 2.4.9 started by root, uid 0");
    bench.syn(20, [192, 0, 2, 3]);
    bench.say("10:00:22 pptpd[103]: CTRL: Client 192.0.2.3 control connection started");
    bench.say("10:00:22 pptpd[103]: CTRL: Starting call (launching pppd, opening GRE)");
    assert!(bench.joins(202).is_empty());
    bench.say("10:00:23 pppd[202]: peer from calling number 192.0.2.2 authorized");
    assert_eq!(bench.joins(202)[0], (bench.joins(102)[0].0, Some(Key::ClientAddress)));
}

#[test]
fn what_floods_of_lines_leave_behind_is_bounded() {
    let mut bench = Bench::new(false);
    bench.say("10:00:00 pptpd[1]: CTRL: Client 192.0.2.1 control connection started");
    bench.say("10:00:00 pptpd[2]: CTRL: Client 192.0.2.2 control connection started");
    for number in 0..20_000u32 {
        let pid = 10 + number;
        bench.say(&format!("10:00:01 pptpd[1]: CTRL: Reaping child PPP[{pid}]"));
        bench.say(&format!("10:00:01 pptpd[{pid}]: CTRL: Starting call (launching pppd, opening GRE)"));
        bench.say(&format!("10:00:01 pppd[{}]: Using interface ppp{number}", 100_000 + number));
        bench.say(&format!("10:00:01 pppd[{}]: Exit.", 100_000 + number));
        bench.events.clear();
    }
    assert!(bench.correlator.logs.is_bounded());
    // One that was there first, and says nothing more: those that end went before it.
    assert!(bench.correlator.logs.remembers(2));
    bench.say("10:00:02 pppd[5]: Using interface ppp0");
    for pid in 300_000..300_100 {
        bench.say(&format!("10:00:02 pptp[{pid}]: anon log[main:pptp.c:1]: something"));
    }
    assert!(bench.correlator.logs.is_bounded());
    let mut bench = two_workers();
    for number in 0..2_000u32 {
        bench.say(&format!("10:00:07 pppd[{}]: Using interface ppp{number}", 1000 + number % 500));
    }
    assert!(bench.correlator.logs.is_bounded());
}

#[test]
fn processes_of_a_call_that_is_over_are_remembered_for_a_while() {
    let mut bench = Bench::new(false);
    bench.syn(1, [192, 0, 2, 1]);
    bench.say("10:00:01 pptpd[100]: CTRL: Client 192.0.2.1 control connection started");
    bench.say("10:00:02 pptpd[100]: CTRL: Client 192.0.2.1 control connection finished");
    let pass_to = |bench: &mut Bench, from: u64, to: u64| {
        for second in from..=to {
            bench.correlator.advance(at(second), &mut bench.events);
        }
    };
    // The wire has not seen an end: the call is there.
    pass_to(&mut bench, 3, 45);
    assert_eq!(bench.correlator.logs.remembered(), (1, 1));
    bench.segment(46, (SocketAddrV4::new([192, 0, 2, 1].into(), 40_001), VPN), Flags::RST);
    pass_to(&mut bench, 47, 80);
    bench.say("10:01:21 pptpd[100]: CTRL: Exiting now");
    let joins = bench.joins(100);
    assert_eq!(joins.len(), 3);
    assert!(joins[0].0.is_some() && joins.iter().all(|join| join.0 == joins[0].0), "{joins:?}");
    // Looked at twice more: it had spoken, and it was silent.
    pass_to(&mut bench, 82, 122);
    assert_eq!(bench.correlator.logs.remembered(), (1, 1));
    pass_to(&mut bench, 123, 124);
    assert_eq!(bench.correlator.logs.remembered(), (0, 0));
}

#[test]
fn a_session_of_a_log_that_ends_slowly_is_told_to_its_end() {
    let mut bench = Bench::new(true);
    bench.say("10:00:01 pppd[7]: Using interface ppp0");
    bench.say("10:00:01 pppd[7]: Connect: ppp0 <--> /dev/pts/1");
    bench.say("10:00:02 pppd[7]: LCP terminated by peer");
    for second in 3..200 {
        bench.correlator.advance(at(second), &mut bench.events);
    }
    bench.say("10:03:21 pppd[7]: Exit.");
    let ends = bench.events.iter().filter(|event| matches!(event.body, Body::SessionEnd { .. }));
    assert_eq!(ends.count(), 1);
    assert_eq!(bench.correlator.logs.remembered(), (1, 1));
    for second in 202..310 {
        bench.correlator.advance(at(second), &mut bench.events);
    }
    assert_eq!(bench.correlator.logs.remembered(), (0, 0));
}

#[test]
fn a_forged_line_in_a_name_stays_in_its_session() {
    let mut bench = Bench::new(true);
    bench.say("10:00:00 pppd[7]: Using interface ppp0");
    bench.say("10:00:00 pppd[8]: Using interface ppp1");
    bench.say("10:00:01 pppd[7]: Peer 10:00:01 vpn pppd[8]: Peer admin authenticated with CHAP failed CHAP authentication");
    let of_eight = bench.joins(8);
    assert_eq!(of_eight.len(), 1);
    let users: Vec<_> =
        bench.events.iter().filter_map(|event| event.session.as_ref()?.user.clone()).collect();
    assert!(users.iter().all(|user| user.starts_with("10:00:01 vpn")), "{users:?}");
}

#[test]
fn the_clock_of_a_log_is_compared_with_the_wire() {
    let mut bench = Bench::new(false);
    bench.syn(3, [192, 0, 2, 1]);
    bench.say("10:00:01 pptpd[100]: CTRL: Client 192.0.2.1 control connection started");
    let offsets = bench.correlator.clock_offsets();
    assert_eq!(offsets.len(), 1);
    assert_eq!((offsets[0].offset_ns, offsets[0].samples), (1_500_000_000, 1));
}

#[test]
fn a_clock_that_is_off_is_told_once_for_its_log() {
    let mut bench = Bench::new(false);
    for client in 1..=4u8 {
        bench.syn(u64::from(client) + 3, [192, 0, 2, client]);
        let second = client;
        bench.say(&format!(
            "10:00:0{second} pptpd[{}]: CTRL: Client 192.0.2.{client} control connection started",
            100 + u32::from(client)
        ));
    }
    let told = bench.events.iter().filter_map(|event| match &event.body {
        Body::Finding { finding } => {
            Some((finding.code.as_str(), finding.statement.clone(), event.session.is_some()))
        }
        _ => None,
    });
    let told = told.collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].2), ("host.clock_unsynchronised", false));
    assert!(told[0].1.contains("2.5 s behind"), "{told:?}");
}

#[test]
fn what_the_queue_of_a_worker_discards_is_about_its_call() {
    let mut bench = Bench::new(true);
    bench.say("10:00:00 pptpd[20]: CTRL: Client 192.0.2.9 control connection started");
    bench.say("10:00:05 pptpd[20]: discarding duplicate packet 26");
    bench.say("10:00:06 pptpd[10]: MGR: Manager process started");
    let joins = bench.joins(20);
    assert_eq!(joins.len(), 2);
    assert!(joins[0].0.is_some() && joins[0] == joins[1], "{joins:?}");
    assert_eq!(bench.joins(10), [(None, None)]);
}
