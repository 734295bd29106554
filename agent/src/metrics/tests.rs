use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::agent::{Interface, LogSource, Probe, ProbeState, Sink, Table};
use crate::event::gre::Counters;
use crate::event::{SessionRef, Severity, drop, gre, session};
use crate::kernel::{ProgramRuns, RingLevel};
use crate::time::Timestamp;
use pptpscope_common::drop::Reason;

pub(super) fn event(id: u128, body: Body) -> Event {
    Event {
        ts: Timestamp::from_unix_ns(1),
        body,
        severity: Severity::Info,
        host: "vpn".into(),
        session: Some(Arc::new(SessionRef {
            id: Uuid::from_u128(id),
            client: "192.0.2.10".parse().ok(),
            server: None,
            client_call_id: None,
            server_call_id: None,
            interface: None,
            user: Some("alice".into()),
        })),
    }
}

pub(super) fn start(id: u128) -> Event {
    let session_start =
        session::Start { origin: session::Origin::Control, phase: Phase::Tcp, client_port: None };
    event(id, Body::SessionStart { session_start })
}

pub(super) fn stats(id: u128, packets: u64, lost: u64, late: u64) -> Event {
    let from_client = Counters { packets, lost, late, ..Counters::default() };
    let gre_stats = gre::GreStats { from_client, from_server: Counters::default(), is_final: false };
    event(id, Body::GreStats { gre_stats })
}

pub(super) fn end(id: u128, packets: u64) -> Event {
    let session_end = session::End {
        from_client: Some(Counters { packets, lost: 1, late: 3, ..Counters::default() }),
        ..session::End::bare(session::Cause::CallClearRequest, Phase::Up, true, 1)
    };
    event(id, Body::SessionEnd { session_end })
}

fn drop_event(count: u64) -> Event {
    let drop = drop::Drop {
        reason: drop::DropReason(Reason::MppeBadBits),
        harmful: true,
        count,
        total: 9,
        stage: drop::DropStage::Stack,
        location: None,
        kernel_reason: None,
        hook: None,
        rule: None,
        source: None,
        destination: None,
        call_id: None,
        ifindex: None,
    };
    event(1, Body::Drop { drop })
}

/// With something in every part.
fn status() -> Status {
    Status {
        rss_bytes: Some(20 << 20),
        interfaces: vec![Interface {
            name: "eth0".into(),
            index: Some(2),
            ingress: Some("xdp".into()),
            egress: None,
            note: None,
        }],
        probes: vec![Probe {
            name: "gre_rcv".into(),
            target: "gre:gre_rcv".into(),
            state: ProbeState::Attached,
            note: None,
        }],
        sinks: vec![Sink {
            name: "file:/x\"y\\z\n".into(),
            written: 3,
            dropped: 1,
            waiting: 2,
            spooled: 1,
            error: None,
        }],
        logs: vec![LogSource {
            name: "/var/log/syslog".into(),
            clock_offset_ns: Some(-5),
            ..LogSource::default()
        }],
        flows: Table { used: 3, limit: 8 },
        ..Status::default()
    }
}

fn load() -> Load {
    let program = ProgramRuns { name: "wire_xdp".into(), count: 4, time: Duration::from_micros(2) };
    Load { programs: vec![program], ring: Some(RingLevel { recent: 100, highest: 900 }), ring_bytes: 1 << 20 }
}

pub(super) fn value(metrics: &Metrics, sample: &str) -> Option<f64> {
    let text = metrics.text().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

#[test]
fn counts_calls_and_their_packets_once() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&start(1));
    metrics.observe(&start(2));
    assert_eq!(value(&metrics, "pptpscope_calls{phase=\"tcp\"}"), Some(2.0));
    let phase = session::PhaseChange {
        phase: Phase::Up,
        previous: Phase::Tcp,
        previous_ns: 1,
        reason: session::Cause::IpcpOpened,
        by: None,
    };
    metrics.observe(&event(1, Body::SessionPhase { session_phase: phase }));
    assert_eq!(value(&metrics, "pptpscope_calls{phase=\"up\"}"), Some(1.0));
    metrics.observe(&stats(1, 10, 4, 0));
    metrics.observe(&stats(1, 15, 1, 3));
    metrics.observe(&stats(9, 1000, 0, 0));
    metrics.observe(&end(1, 20));
    metrics.observe(&stats(1, 20, 1, 3));
    let packets = value(&metrics, "pptpscope_gre_packets_total{direction=\"from_client\"}");
    assert_eq!(packets, Some(20.0), "a call that is not known, or over, is not counted");
    assert_eq!(value(&metrics, "pptpscope_gre_lost_packets_total{direction=\"from_client\"}"), Some(4.0));
    assert_eq!(value(&metrics, "pptpscope_gre_late_packets_total{direction=\"from_client\"}"), Some(3.0));
    assert_eq!(value(&metrics, "pptpscope_calls{phase=\"up\"}"), None);
    let ended =
        "pptpscope_calls_ended_total{last_phase=\"up\",reason=\"call_clear_request\",was_up=\"true\"}";
    assert_eq!(value(&metrics, ended), Some(1.0));
    metrics.observe(&drop_event(3));
    metrics.observe(&drop_event(4));
    let drops =
        format!("pptpscope_drops_total{{harmful=\"true\",reason=\"{}\"}}", Reason::MppeBadBits.name());
    assert_eq!(value(&metrics, &drops), Some(7.0));
}

#[test]
fn what_was_lost_and_came_late_between_two_reports_counts_as_both() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&start(1));
    metrics.observe(&stats(1, 15, 1, 3));
    assert_eq!(value(&metrics, "pptpscope_gre_lost_packets_total{direction=\"from_client\"}"), Some(4.0));
    assert_eq!(value(&metrics, "pptpscope_gre_late_packets_total{direction=\"from_client\"}"), Some(3.0));
}

#[test]
fn what_programs_cost_and_what_rules_count() {
    let metrics = Metrics::new().unwrap();
    metrics.note(&status(), load());
    assert_eq!(value(&metrics, "pptpscope_program_runs_total{program=\"wire_xdp\"}"), Some(4.0));
    assert_eq!(value(&metrics, "pptpscope_program_run_seconds_total{program=\"wire_xdp\"}"), Some(0.000002));
    assert_eq!(value(&metrics, "pptpscope_ring_used_bytes"), Some(100.0));
    assert_eq!(value(&metrics, "pptpscope_ring_highest_bytes"), Some(900.0));
    assert_eq!(value(&metrics, "pptpscope_ring_limit_bytes"), Some(1_048_576.0));
    let failed = "pptpscope_call_attempts_total{result=\"failed\"}";
    let stalls = "pptpscope_mppe_stalls_total{cause=\"mppe_late\"}";
    let radius = "pptpscope_radius_exchanges_total{outcome=\"wrong_secret\",request=\"access_request\"}";
    for rule in [failed, stalls, radius] {
        assert_eq!(value(&metrics, rule), Some(0.0), "{rule}");
    }
    for (phase, was_up) in [(Phase::Lcp, false), (Phase::Up, true), (Phase::Tcp, false)] {
        let session_end = session::End::bare(session::Cause::TcpReset, phase, was_up, 1);
        metrics.observe(&event(1, Body::SessionEnd { session_end }));
    }
    let up = "pptpscope_call_attempts_total{result=\"up\"}";
    assert_eq!((value(&metrics, failed), value(&metrics, up)), (Some(1.0), Some(1.0)));
}

#[test]
fn no_client_is_ever_in_a_label() {
    let metrics = Metrics::new().unwrap();
    for event in [start(1), stats(1, 1, 0, 0), drop_event(1), end(1, 2)] {
        metrics.observe(&event);
    }
    let text = metrics.text().unwrap();
    for marker in ["alice", "192.0.2.10", "00000000-0000"] {
        assert!(!text.contains(marker), "{text}");
    }
}

#[test]
fn numbers_of_a_peer_make_no_labels() {
    assert_eq!(word(&"unknown_41234"), "other");
    assert_eq!(word(&Phase::Up), "up");
}

#[test]
fn the_manual_has_every_metric_and_no_other() {
    let metrics = Metrics::new().unwrap();
    for event in [start(1), stats(1, 1, 0, 0), drop_event(1), end(1, 2)] {
        metrics.observe(&event);
    }
    metrics.note(&status(), load());
    let manual = include_str!("../../../docs/metrics.md");
    let text = metrics.text().unwrap();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> = families.filter(|name| !manual.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What alert rules and dashboard ask for must exist.
#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let names: Vec<String> =
        Metrics::new().unwrap().definitions().unwrap().into_iter().map(|metric| metric.name).collect();
    for (file, text) in [
        ("pptpscope.rules.yml", include_str!("../../../package/prometheus/pptpscope.rules.yml")),
        ("pptpscope.json", include_str!("../../../package/grafana/pptpscope.json")),
    ] {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let asked: Vec<&str> = words.filter(|word| word.starts_with("pptpscope_")).collect();
        assert!(asked.len() > 10, "{file}");
        for word in asked {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(names.iter().any(|known| known == name), "{file}: there is no metric {word}");
        }
    }
}

/// Whether promtool has nothing to say. It comes with Debian's prometheus; `cargo xtask test` gets it.
#[test]
fn promtool_has_nothing_to_say() {
    let promtool = std::env::var_os("PPTPSCOPE_PROMTOOL").unwrap_or_else(|| "promtool".into());
    if Command::new(&promtool).arg("--version").stderr(Stdio::null()).stdout(Stdio::null()).status().is_err()
    {
        eprintln!(
            "SKIPPED: there is no promtool; `cargo xtask test` gets it, or name it in PPTPSCOPE_PROMTOOL"
        );
        return;
    }
    let metrics = Metrics::new().unwrap();
    for event in [start(1), start(2), stats(1, 1, 0, 0), drop_event(1), end(1, 2)] {
        metrics.observe(&event);
    }
    metrics.note(&status(), load());
    let mut check = Command::new(&promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = check.spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.text().unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../package/prometheus/pptpscope.rules.yml");
    let output = Command::new(&promtool).args(["check", "rules", rules]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}
