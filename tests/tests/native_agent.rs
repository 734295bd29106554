//! The whole agent on a veth pair of this machine: frames in at one end, JSON lines out at the other.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test may fail like the test itself")]

mod native;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use native::frame::{CLIENT, Gre, Ip, SERVER, Tcp, ethernet};
use native::{PEER, WATCHED, Wire, device, in_namespace, run, runtime};
use pptpscope::agent::{Agent, Options};
use pptpscope::kernel::IngressMode;
use pptpscope::sink::Sinks;
use pptpscope::sink::filter::Filter;
use pptpscope::sink::lines::Lines as Stream;
use pptpscope::sink::queue::Limits;
use pptpscope::sink::worker::Sink;
use pptpscope::wire::pptp::Message;
use pptpscope::wire::pptp::message::{
    CallDisconnectNotify, OutgoingCallReply, OutgoingCallRequest, StartControlConnectionReply,
    StartControlConnectionRequest,
};
use serde_json::Value;

/// Only a failing test ever waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn events(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn of(&self, event: &str) -> Vec<Value> {
        self.events().into_iter().filter(|line| line["event"] == event).collect()
    }

    fn wait_for(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events().into_iter().find(&done) {
                return event;
            }
            assert!(Instant::now() < end, "no {what} in {:#?}", self.events());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The agent in a thread of this namespace, and the two ends of the wire.
struct Scene {
    lines: Lines,
    agent: std::thread::JoinHandle<()>,
    client: Wire,
    server: Wire,
    next: [u32; 2],
}

impl Scene {
    fn new(options: Options) -> Self {
        let guard_runtime = runtime();
        let (client, server) = {
            let _guard = guard_runtime.enter();
            (Wire::on(device(PEER).index), Wire::on(device(WATCHED).index))
        };
        let lines = Lines::default();
        let output = lines.clone();
        // A thread inherits the network namespace of the one that starts it.
        let agent = std::thread::spawn(move || {
            runtime().block_on(async {
                let sink =
                    Sink::start("stdout", Stream::new(output), Filter::default(), Limits::default(), None);
                let mut sinks = Sinks::new();
                sinks.add_stdout(sink.unwrap());
                Agent::start(options, sinks).unwrap().run().await.unwrap();
            });
        });
        lines.wait_for("watched interface", |line| {
            line["agent_status"]["interfaces"][0]["egress"].is_string()
        });
        Self { lines, agent, client, server, next: [100, 900] }
    }

    fn options() -> Options {
        Options {
            radius: pptpscope::source::radius::Settings::default(),
            interfaces: vec![WATCHED.into()],
            ingress: IngressMode::Auto,
            stats_interval: Duration::from_secs(1),
            status_interval: Duration::from_secs(60),
            max_sessions: 64,
            ring_bytes: 1 << 16,
            duration: None,
            kernel_log: false,
            deep: false,
            record: None,
            logs: pptpscope::source::follow::Options::default(),
            all_log_lines: false,
        }
    }

    /// A segment of the control connection, with the next sequence number of its sender.
    fn segment(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let next = &mut self.next[usize::from(from_client)];
        let mut tcp = Tcp::control(flags, payload);
        if !from_client {
            (tcp.source, tcp.destination) = (tcp.destination, tcp.source);
        }
        let mut bytes = tcp.build();
        bytes[4..8].copy_from_slice(&next.to_be_bytes());
        let phantom = u32::from(flags & (Tcp::SYN | Tcp::FIN) != 0);
        *next = next.wrapping_add(payload.len() as u32 + phantom);
        self.send(from_client, 6, &bytes);
    }

    fn gre(&self, from_client: bool, packet: &Gre) {
        self.send(from_client, 47, &packet.build());
    }

    fn send(&self, from_client: bool, protocol: u8, bytes: &[u8]) {
        let mut ip = Ip::new(protocol);
        if !from_client {
            (ip.source, ip.destination) = (ip.destination, ip.source);
        }
        let frame = ethernet(0x0800, &ip.build(bytes));
        if from_client { self.client.send(&frame) } else { self.server.send(&frame) }
    }

    fn connect(&mut self) {
        self.segment(true, Tcp::SYN, &[]);
        self.segment(false, Tcp::SYN | Tcp::ACK, &[]);
        self.segment(true, Tcp::ACK, &[]);
    }

    /// Ends the agent as systemd does and returns every line.
    fn stop(self) -> Vec<Value> {
        // SAFETY: the agent has replaced the default action of SIGTERM.
        unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
        self.agent.join().unwrap();
        self.lines.events()
    }
}

fn start_request() -> Vec<u8> {
    let request = StartControlConnectionRequest {
        protocol_version: 0x100,
        framing_capabilities: 3.into(),
        bearer_capabilities: 3.into(),
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "pc".into(),
        vendor: "test".into(),
    };
    Message::from(request).encode()
}

fn start_reply() -> Vec<u8> {
    let reply = StartControlConnectionReply {
        protocol_version: 0x100,
        result: 1.into(),
        error: 0.into(),
        framing_capabilities: 3.into(),
        bearer_capabilities: 3.into(),
        maximum_channels: 1,
        firmware_revision: 1,
        host_name: "vpn".into(),
        vendor: "test".into(),
    };
    Message::from(reply).encode()
}

fn call_request(call_id: u16) -> Vec<u8> {
    let request = OutgoingCallRequest {
        call_id,
        call_serial_number: 1,
        minimum_bps: 1,
        maximum_bps: 2,
        bearer_type: 3.into(),
        framing_type: 3.into(),
        receive_window_size: 64,
        packet_processing_delay: 0,
        phone_number_length: 0,
        phone_number: String::new(),
        subaddress: String::new(),
    };
    Message::from(request).encode()
}

fn call_reply(call_id: u16, peer_call_id: u16) -> Vec<u8> {
    let reply = OutgoingCallReply {
        call_id,
        peer_call_id,
        result: 1.into(),
        error: 0.into(),
        cause_code: 0,
        connect_speed: 1,
        receive_window_size: 64,
        packet_processing_delay: 0,
        physical_channel_id: 0,
    };
    Message::from(reply).encode()
}

/// A packet with a PPP frame.
fn ppp(call_id: u16, number: u32, frame: &[u8]) -> Gre {
    Gre { call_id, sequence: Some(number), ack: None, payload: frame.to_vec() }
}

#[test]
fn a_call_is_told_from_syn_to_end() {
    in_namespace("a_call_is_told_from_syn_to_end", || {
        let mut scene = Scene::new(Scene::options());
        scene.connect();
        // Split at every byte; then the same request twice in one segment, which is one call.
        for byte in start_request() {
            scene.segment(true, Tcp::ACK, &[byte]);
        }
        scene.segment(false, Tcp::ACK, &start_reply());
        let twice = [call_request(11), call_request(11)].concat();
        scene.segment(true, Tcp::ACK, &twice);
        scene.segment(false, Tcp::ACK, &call_reply(22, 11));
        // LCP without authentication, IPCP, each way.
        let lcp = |code: u8| vec![0xff, 0x03, 0xc0, 0x21, code, 1, 0, 4];
        let ipcp = |code: u8, last: u8| vec![0x80, 0x21, code, 1, 0, 10, 3, 6, 10, 0, 0, last];
        let frames: [(bool, Vec<u8>); 8] = [
            (true, lcp(1)),
            (false, lcp(1)),
            (true, lcp(2)),
            (false, lcp(2)),
            (true, ipcp(1, 2)),
            (false, ipcp(1, 1)),
            (true, ipcp(2, 1)),
            (false, ipcp(2, 2)),
        ];
        for (number, (from_client, frame)) in (0..).zip(frames) {
            scene.gre(from_client, &ppp(if from_client { 22 } else { 11 }, number, &frame));
        }
        for number in 10..60 {
            scene.gre(true, &ppp(22, number, &[0x21, 0x45, 0, 0, 0]));
        }
        let notify = CallDisconnectNotify {
            call_id: 22,
            result: 4.into(),
            error: 0.into(),
            cause_code: 0,
            call_statistics: String::new(),
        };
        scene.segment(false, Tcp::ACK, &Message::from(notify).encode());
        let end = scene.lines.wait_for("end", |line| line["event"] == "session.end");
        assert_eq!(end["session"]["client"], std::net::Ipv4Addr::from(CLIENT).to_string());
        assert_eq!(end["session"]["server"], std::net::Ipv4Addr::from(SERVER).to_string());
        assert_eq!(
            (&end["session"]["client_call_id"], &end["session"]["server_call_id"]),
            (&11.into(), &22.into())
        );
        let facts = &end["session_end"];
        assert_eq!((&facts["reason"], &facts["by"]), (&"call_disconnect_notify".into(), &"server".into()));
        assert_eq!(facts["was_up"], true);
        // 4 frames with the even numbers 0 to 6, then 10 to 59.
        let client = &facts["from_client"];
        assert_eq!(
            (&client["packets"], &client["negotiation"], &client["received"]),
            (&54.into(), &4.into(), &54.into())
        );
        assert_eq!(client["lost"].as_u64().unwrap() + client["missing"].as_u64().unwrap(), 6);
        assert_eq!(facts["from_server"]["packets"], 4);
        let phases: Vec<_> = scene.lines.of("session.phase");
        let phases: Vec<_> =
            phases.iter().map(|line| line["session_phase"]["phase"].as_str().unwrap()).collect();
        assert_eq!(phases, ["control", "call", "lcp", "ccp", "ipcp", "up", "closing", "closed"]);
        let up = scene.lines.of("session.up");
        assert_eq!(up[0]["session_up"]["client_address"], "10.0.0.2");

        let events = scene.stop();
        assert_eq!(events.first().unwrap()["event"], "agent.start");
        let stop = events.last().unwrap();
        assert_eq!(stop["event"], "agent.stop");
        let ring = &stop["agent_stop"]["status"]["ring"];
        assert_eq!(ring["ppp"]["submitted"], 8);
        // SYN, SYN-ACK, 156 single bytes, 4 more, and a bare acknowledgement.
        assert_eq!((&ring["control"]["submitted"], &ring["control"]["suppressed"]), (&163.into(), &0.into()));
        // Nothing is left behind.
        assert!(!run("ip", &format!("link show {WATCHED}")).unwrap().contains("xdp"));
        assert!(run("tc", &format!("filter show dev {WATCHED} egress")).unwrap().is_empty());
        assert!(!run("tc", &format!("qdisc show dev {WATCHED}")).unwrap().contains("clsact"));
    });
}

#[test]
fn hostile_packets_are_counted_or_reported_and_nothing_else() {
    in_namespace("hostile_packets_are_counted_or_reported_and_nothing_else", || {
        // Room for all of it: on a busy machine the agent may not run while it is sent.
        let mut scene = Scene::new(Options { ring_bytes: 1 << 20, ..Scene::options() });
        scene.connect();
        for _ in 0..200 {
            scene.segment(true, Tcp::ACK, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage garbage");
        }
        // A length of 65,535 bytes, then nothing; and every cut of a message at the end of a connection.
        let mut oversized = call_request(1);
        oversized[..2].copy_from_slice(&[0xff, 0xff]);
        scene.segment(true, Tcp::ACK, &oversized);
        scene.segment(true, Tcp::RST, &[]);
        let whole = call_request(2);
        for cut in 0..whole.len() {
            scene.segment(true, Tcp::ACK, &whole[..cut]);
            scene.segment(true, Tcp::RST, &[]);
        }
        // Every protocol and code with lengths that lie.
        for protocol in [0xc021u16, 0xc023, 0xc223, 0xc227, 0x80fd, 0x8021, 0x8057, 0xc029, 0xbfff, 0x8000] {
            for code in 0..=16u8 {
                for length in [0u16, 3, 4, 5, 6, 8, 255, 65_535] {
                    let mut frame = protocol.to_be_bytes().to_vec();
                    frame.extend([code, 7]);
                    frame.extend(length.to_be_bytes());
                    frame.extend([1, 4, 0xff, 0xff]);
                    scene.gre(true, &ppp(99, u32::from(code), &frame));
                }
            }
        }
        for cut in 0..12 {
            scene.send(true, 47, &ppp(5, 1, &[0xff, 0x03]).build()[..cut]);
        }
        let marker = Gre { call_id: 1234, ..ppp(1234, 1, &[0xff, 0x03, 0xc0, 0x21, 9, 0, 0, 8, 0, 0, 0, 0]) };
        scene.gre(true, &marker);
        scene.lines.wait_for("marker", |line| line["session"]["server_call_id"] == 1234);
        let garbage = scene.lines.of("control.garbage").len();
        assert!((1..200).contains(&garbage), "{garbage} reports");
        // What cannot be read is told with its reason, never dropped.
        let unreadable = scene.lines.events();
        let unreadable =
            unreadable.iter().filter(|line| line["ppp_negotiation"]["error"].is_string()).count();
        assert!(unreadable > 100, "{unreadable}");
        let events = scene.stop();
        let status = &events.last().unwrap()["agent_stop"]["status"];
        for kind in ["control", "ppp"] {
            let of = |name: &str| status["ring"][kind][name].as_u64().unwrap();
            assert_eq!(of("seen"), of("submitted") + of("suppressed"), "{kind}");
            assert_eq!(of("ring_full"), 0, "{kind}");
        }
        assert_eq!(status["refused"]["short"], 12);
        assert_eq!(status["events_dropped"], 0);
    });
}

#[test]
fn a_host_that_floods_the_ring_is_told_what_was_lost() {
    in_namespace("a_host_that_floods_the_ring_is_told_what_was_lost", || {
        let scene = Scene::new(Options { ring_bytes: 4096, ..Scene::options() });
        let frame = [&[0xff, 0x03, 0xc0, 0x21, 9, 0, 3, 0xe8][..], &[0; 996]].concat();
        let sent = 5000;
        for number in 0..sent {
            scene.gre(true, &ppp(7, number, &frame));
        }
        let marker = ppp(8, 0, &[0x21, 0x45]);
        scene.gre(true, &marker);
        scene.lines.wait_for("loss", |line| line["agent_loss"]["stage"] == "ring");
        let events = scene.stop();
        let ppp = &events.last().unwrap()["agent_stop"]["status"]["ring"]["ppp"];
        let (submitted, full) = (ppp["submitted"].as_u64().unwrap(), ppp["ring_full"].as_u64().unwrap());
        assert_eq!((submitted + full, ppp["seen"].as_u64().unwrap()), (sent.into(), sent.into()));
        let told: u64 = events.iter().filter_map(|line| line["agent_loss"]["lost"].as_u64()).sum();
        assert_eq!(told, full);
        let lines = events.iter().filter(|line| line["event"] == "ppp.negotiation").count() as u64;
        assert_eq!(lines, submitted);
    });
}

#[test]
fn frames_of_other_hosts_are_one_drop_whatever_their_calls() {
    in_namespace("frames_of_other_hosts_are_one_drop_whatever_their_calls", || {
        let scene = Scene::new(Scene::options());
        // Their link-layer address is not that of the interface.
        for call_id in 1..=20 {
            scene.gre(true, &ppp(call_id, 0, &[0x21, 0x45, 0, 0, 0]));
        }
        let drop = scene.lines.wait_for("drop of all", |line| line["drop"]["total"] == 20);
        assert_eq!((&drop["event"], &drop["drop"]["reason"]), (&"drop".into(), &"other_host".into()));
        assert_eq!((&drop["drop"]["source"], &drop["drop"]["call_id"]), (&Value::Null, &Value::Null));
        let drops = scene.stop().into_iter().filter(|line| line["event"] == "drop");
        let reasons: Vec<Value> = drops.map(|line| line["drop"]["reason"].clone()).collect();
        assert!(reasons.iter().all(|reason| reason == "other_host"), "{reasons:?}");
    });
}

#[test]
fn interfaces_that_come_and_go_are_followed() {
    in_namespace("interfaces_that_come_and_go_are_followed", || {
        let scene = Scene::new(Options { interfaces: vec![WATCHED.into(), "w9".into()], ..Scene::options() });
        run("ip", "link add w9 type veth peer name p9").unwrap();
        run("ip", "link set w9 up").unwrap();
        let names = |line: &Value| -> Vec<String> {
            let interfaces = line["agent_status"]["interfaces"].as_array().cloned().unwrap_or_default();
            let watched = interfaces.iter().filter(|interface| interface["ingress"].is_string());
            watched.map(|interface| interface["name"].as_str().unwrap().to_owned()).collect()
        };
        scene.lines.wait_for("second interface", |line| names(line) == [WATCHED, "w9"]);
        run("ip", "link del w9").unwrap();
        let count =
            |lines: &Lines| lines.of("agent.status").iter().filter(|line| names(line) == [WATCHED]).count();
        let end = Instant::now() + PATIENCE;
        while count(&scene.lines) < 2 {
            assert!(Instant::now() < end, "the interface stays: {:#?}", scene.lines.of("agent.status"));
            std::thread::sleep(Duration::from_millis(5));
        }
        scene.stop();
    });
}
