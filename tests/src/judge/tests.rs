//! A run made by hand, right in everything; each test breaks one thing and must see it.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::frames;

const CLIENT: [u8; 4] = [192, 0, 2, 10];
const SERVER: [u8; 4] = [203, 0, 113, 2];

const SCENARIO: &str = r#"
name = "x"
about = "y"
script = "true"
[truth]
compare = ["calls", "up", "gre", "ring"]
[[expect]]
event = "session.up"
where = { "session.user" = "alice" }
[[forbid]]
event = "agent.loss"
[[capture]]
where = { "from_client.packets" = 3, "from_client.missing" = 1 }
count = 1
[[log]]
file = "server.log"
contains = "MPPE 128-bit"
"#;

const LOG: &str = "\
2001-01-01T00:00:02Z vpn pppd[11]: Using interface ppp0
2001-01-01T00:00:02Z vpn pppd[11]: rcvd [CHAP Response id=0x5 <00>, name = \"alice\"]
2001-01-01T00:00:02Z vpn pppd[11]: peer from calling number 192.0.2.10 authorized
2001-01-01T00:00:02Z vpn pppd[11]: MPPE 128-bit stateless compression enabled
2001-01-01T00:00:02Z vpn pppd[11]: local  IP address 10.10.0.1
2001-01-01T00:00:02Z vpn pppd[11]: remote IP address 10.10.0.100
";

const SESSION: &str = r#""severity":"info","host":"vpn","session":{"id":"i","client":"192.0.2.10","server":"203.0.113.2","client_call_id":77,"server_call_id":5,"interface":"ppp0","user":"alice"}"#;

fn events() -> String {
    let at = |second: u32| format!("{{\"ts\":\"2001-01-01T00:00:{second:02}Z\"");
    let counters = |packets: u64, bytes: u64, ack_only: u64, missing: u64| {
        let received = packets - ack_only;
        format!(
            "{{\"packets\":{packets},\"bytes\":{bytes},\"ack_only\":{ack_only},\"received\":{received},\
             \"lost\":0,\"missing\":{missing},\"reordered\":0,\"late\":0,\"duplicate\":0,\"fragments\":0,\
             \"payload_lengths\":[{received},0,0,0,0,0,0,0],\"cleartext\":0}}"
        )
    };
    let ring = |count: u64| {
        format!("{{\"seen\":{count},\"submitted\":{count},\"ring_full\":0,\"suppressed\":0,\"truncated\":0}}")
    };
    [
        format!("{},\"event\":\"agent.start\",\"severity\":\"info\",\"host\":\"vpn\"}}", at(0)),
        format!(
            "{},\"event\":\"session.up\",{SESSION},\"session_up\":{{\"user\":\"alice\",\"interface\":\"ppp0\",\
             \"server_address\":\"10.10.0.1\",\"client_address\":\"10.10.0.100\",\
             \"mppe\":{{\"bits\":128,\"stateful\":false}}}}}}",
            at(2)
        ),
        format!(
            "{},\"event\":\"gre.stats\",{SESSION},\"gre_stats\":{{\"from_client\":{},\"from_server\":{}}}}}",
            at(3),
            counters(3, 103, 1, 1),
            counters(1, 38, 0, 0)
        ),
        format!(
            "{},\"event\":\"agent.stop\",\"severity\":\"info\",\"host\":\"vpn\",\
             \"agent_stop\":{{\"status\":{{\"probes\":[{{\"name\":\"path_kfree_skb\",\"state\":\"attached\"}}],\"ring\":{{\"control\":{},\"ppp\":{}}},\
             \"logs\":[{{\"name\":\"/lab/out/server.log\",\"lines\":6,\"recognised\":6,\"foreign\":0,\"unknown\":0,\
             \"unreadable\":0,\"undated\":0,\"cut\":0,\"lost_bytes\":0}}],\
             \"refused\":{{\"fragment_unmatched\":0}}}}}}}}",
            at(4),
            ring(5),
            ring(2)
        ),
    ]
    .join("\n")
        + "\n"
}

fn pcap() -> Vec<u8> {
    let control = |client: bool, sequence: u32, flags: u8, payload: &[u8]| {
        let (from, to, ports) =
            if client { (CLIENT, SERVER, (4000, 1723)) } else { (SERVER, CLIENT, (1723, 4000)) };
        frames::ethernet(&frames::ip(from, to, 6, &frames::tcp(ports.0, ports.1, sequence, flags, payload)))
    };
    let gre = |client: bool, call_id: u16, sequence: Option<u32>, ack: Option<u32>, frame: &[u8]| {
        let (from, to) = if client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        frames::ethernet(&frames::ip(from, to, 47, &frames::gre(call_id, sequence, ack, frame)))
    };
    let mut reply = frames::control(8, 5, 77, 32);
    reply[16] = 1;
    let all = [
        control(true, 0, 0x02, b""),
        control(false, 0, 0x12, b""),
        control(true, 1, 0x10, b""),
        control(true, 1, 0x18, &frames::control(7, 77, 0, 168)),
        control(false, 1, 0x18, &reply),
        gre(true, 5, Some(0), None, b"\xc0\x21...."),
        gre(false, 77, Some(0), None, b"\xc0\x21...."),
        gre(true, 5, Some(2), None, b"\xfd"),
        gre(true, 5, None, Some(0), b""),
    ];
    // 2001-01-01T00:00:01Z and a millisecond for each frame.
    let base = 978_307_201_000_000_000;
    let timed: Vec<_> = all.into_iter().enumerate().map(|(i, f)| (base + i as i64 * 1_000_000, f)).collect();
    frames::pcap(&timed)
}

/// A folder of a run, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pptpscope-judge-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let folder = Self(dir);
        folder.write(EVENTS, &events());
        folder.write(AGENT_EXIT, "0\n");
        folder.write(SERVER_LOG, LOG);
        folder.write(CAPTURE_REPORT, "9 packets captured\n0 packets dropped by kernel\n");
        fs::write(folder.0.join(CAPTURE), pcap()).unwrap();
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn failures(&self, with_agent: bool) -> Vec<Check> {
        let scenario = toml::from_str(SCENARIO).unwrap();
        judge(&scenario, &self.0, with_agent).checks.into_iter().filter(|check| !check.passed).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_right_run_passes_with_and_without_agent() {
    let folder = Folder::new("right");
    assert_eq!(folder.failures(true), []);
    let scenario = toml::from_str(SCENARIO).unwrap();
    assert_eq!(judge(&scenario, &folder.0, true).checks.len(), 15);
    for file in [EVENTS, AGENT_EXIT] {
        fs::remove_file(folder.0.join(file)).unwrap();
    }
    assert_eq!(folder.failures(false), []);
    assert_eq!(judge(&scenario, &folder.0, false).checks.len(), 3);
}

/// Replaces `from` by `to` in a file of a right run; a check whose name and detail contain `check` and
/// `detail` must fail.
#[track_caller]
fn broken(file: &str, from: &str, to: &str, check: &str, detail: &str) {
    let folder = Folder::new(&format!("{:x}", std::panic::Location::caller().line()));
    let text = fs::read_to_string(folder.0.join(file)).unwrap();
    assert!(text.contains(from), "{from:?} is not in {file}");
    folder.write(file, &text.replace(from, to));
    let failures = folder.failures(true);
    let seen = failures.iter().any(|failed| failed.name.contains(check) && failed.detail.contains(detail));
    assert!(seen, "{failures:#?}");
}

#[test]
fn agent_and_its_frame() {
    broken(AGENT_EXIT, "0", "101", "exit code", "101");
    broken(EVENTS, "\"host\":\"vpn\"", "\"hst\":\"vpn\"", "JSON Lines", "host");
    broken(EVENTS, "agent.stop", "agent.halt", "agent.stop last", "last agent.halt");
    broken(EVENTS, "attached", "refused", "no probe was refused or disabled", "path_kfree_skb");
    broken(EVENTS, "agent.start", "agent.started", "agent.stop last", "first agent.started");
}

#[test]
fn calls() {
    broken(EVENTS, "\"client_call_id\":77", "\"client_call_id\":78", "calls:", "no session is the call");
    broken(EVENTS, "\"client_call_id\":77", "\"client_call_id\":78", "calls:", "is no call of the capture");
    broken(EVENTS, "\"server_call_id\":5,", "", "calls:", "(none)");
}

#[test]
fn counters() {
    broken(EVENTS, "\"missing\":1", "\"missing\":0", "gre:", "from_client.missing is 0, the capture has 1");
    broken(EVENTS, "\"bytes\":38", "\"bytes\":39", "gre:", "from_server.bytes is 39, the capture has 38");
    broken(EVENTS, "\"late\":0,", "", "gre:", "late is absent");
    broken(EVENTS, "gre.stats", "gre.state", "gre:", "no gre.stats");
    broken(EVENTS, "unmatched\":0", "unmatched\":2", "gre:", "fragment_unmatched is 2, the capture has 0");
}

#[test]
fn links() {
    broken(EVENTS, "\"stateful\":false", "\"stateful\":true", "up:", "no session.up says so");
    broken(SERVER_LOG, "ppp0", "ppp1", "up:", "pppd logged no such link");
    broken(EVENTS, "session.up", "session.upp", "up:", "no session.up says so");
    broken(SERVER_LOG, "\"alice\"", "\"bob\"", "up:", "bob");
}

#[test]
fn log() {
    broken(EVENTS, "\"unknown\":0", "\"unknown\":1", "every line of pppd", "unknown is 1");
    broken(SERVER_LOG, "vpn pppd[11]: MPPE", "vpn cron[11]: MPPE", "every line of pppd", "recognised is 6");
    broken(EVENTS, "server.log", "other.log", "every line of pppd", "does not follow");
}

#[test]
fn ring() {
    let [two, three] = ["\"seen\":2,\"submitted\":2", "\"seen\":3,\"submitted\":3"];
    broken(EVENTS, two, three, "ring:", "seen 3, the capture has 2 PPP negotiation frames");
    let five = "\"submitted\":5,\"ring_full\":0,\"suppressed\":0";
    let four = "\"submitted\":4,\"ring_full\":0,\"suppressed\":1";
    broken(EVENTS, five, four, "ring:", "suppressed 1, control.abuse tells of 0");
    broken(EVENTS, "\"seen\":5", "\"seen\":6", "ring:", "seen 6 is not submitted 5");
    broken(EVENTS, "\"ring_full\":0", "\"ring_full\":1", "ring:", "full 1 times");
    broken(EVENTS, "\"suppressed\"", "\"withheld\"", "ring:", "no status.ring.control.suppressed");
}

#[test]
fn packets_outside_of_the_agents_life_do_not_count() {
    broken(EVENTS, "00:00:00Z", "00:00:01.001Z", "ring:", "the capture has 4 TCP segments");
    broken(EVENTS, "00:00:04Z", "00:00:01.006Z", "gre:", "from_client.packets is 3, the capture has 1");
}

#[test]
fn expectations() {
    broken(EVENTS, "\"user\":\"alice\"", "\"user\":\"bob\"", "expect session.up", "but is \"bob\"");
    broken(EVENTS, "gre.stats", "agent.loss", "forbid agent.loss", "there is one");
    broken(SERVER_LOG, "128-bit", "40-bit", "server.log", "0 lines");
}

#[test]
fn capture() {
    broken(CAPTURE_REPORT, "0 packets dropped", "7 packets dropped", "capture is complete", "dropped 7");
    broken(CAPTURE_REPORT, "dropped by kernel", "", "capture is complete", "does not say");
    let folder = Folder::new("cut");
    let mut file = pcap();
    file.truncate(file.len() - 1);
    fs::write(folder.0.join(CAPTURE), file).unwrap();
    assert!(folder.failures(false).iter().any(|check| check.detail.contains("ends inside record 8")));
    let folder = Folder::new("short");
    let mut file = pcap();
    file.truncate(file.len() - 62);
    fs::write(folder.0.join(CAPTURE), file).unwrap();
    assert!(folder.failures(false).iter().any(|check| check.detail.contains("from_client.packets")));
}
