//! Real failures with an established cause, where they are at hand: the cause, or an honest
//! "undecided", never a wrong cause with high confidence.

use std::path::Path;

use jiff::tz::TimeZone;

use super::Engine;
use crate::event::finding::{Confidence, State};
use crate::event::{Body, Event, Severity, log};
use crate::logs::reader::{Reader, Settings};
use crate::observation::What;
use crate::privacy::{Mode, Privacy};

/// File, and the code of the cause that was established.
const CASES: [(&str, &str); 11] = [
    ("01-lcp-timeout-one-client-site", "lcp.timeout"),
    ("05-crouton-kernel-no-mppe", "mppe.kernel_missing"),
    ("07-wl500g-stateful-mppe-refused", "mppe.stateful_mismatch"),
    ("09-mppe-40-vs-128", "mppe.strength_mismatch"),
    ("11-client-mppe-unticked", "mppe.not_offered"),
    ("15-unrecognized-option-require-mppe-stateful", "daemon.pppd_start_failed"),
    ("20-docker-cap-net-admin", "daemon.pppd_start_failed"),
    ("25-windows-termreq-691", "auth.rejected"),
    ("29-gre-xmit-eperm-conntrack", "gre.blocked_local"),
    ("30-freeradius-no-nt-password-domain", "radius.no_known_password"),
    ("41-u-echo-loss-after-7min", "lcp.echo_failed"),
];

/// What is found in a log.
fn findings(file: &str, text: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(Settings {
        source: file.into(),
        zone: TimeZone::UTC,
        zone_given: false,
        reference: "2026-11-24T00:00:00Z".parse().unwrap(),
        boot: None,
    });
    let mut engine = Engine::new("test".into());
    let mut events = Vec::new();
    let mut now = crate::time::Timestamp::default();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(observation) = reader.line(line) else { continue };
        now = now.max(observation.at);
        engine.note(&observation);
        let What::Log(line) = observation.what else { continue };
        let line = *line;
        let message = line.message.as_ref();
        let payload = log::Log {
            source: line.source.clone(),
            program: line.program.clone(),
            pid: line.pid,
            log_host: None,
            message: message.map(|message| message.id.clone()),
            class: message.map(|message| message.class),
            level: None,
            fields: message.map(|message| message.fields.clone()).unwrap_or_default(),
            text: line.text.clone(),
            times: None,
            time: None,
            join: None,
        };
        let body = Body::Log { log: payload };
        let event =
            Event { ts: observation.at, body, severity: Severity::Info, host: "test".into(), session: None };
        engine.take(event, &mut events);
    }
    engine.finish(now, &mut events);
    events.retain(|event| matches!(event.body, Body::Finding { .. }));
    events
}

/// Code and confidence of every cause that stands when the log is read.
fn causes(file: &str, text: &[u8]) -> Vec<(String, Confidence)> {
    let mut standing: Vec<(uuid::Uuid, String, Confidence)> = Vec::new();
    for event in findings(file, text) {
        let Body::Finding { finding } = event.body else { continue };
        standing.retain(|(id, ..)| *id != finding.id);
        if finding.primary && finding.state != State::Withdrawn {
            standing.push((finding.id, finding.code.clone(), finding.confidence));
        }
    }
    let mut causes: Vec<_> = standing.into_iter().map(|(_, code, confidence)| (code, confidence)).collect();
    causes.dedup();
    causes
}

#[test]
fn what_a_log_says_of_a_user_is_in_no_finding_when_names_are_private() {
    let text = b"\
        Nov 22 08:39:01 vpn pppd[8]: pppd 2.4.9 started by root, uid 0\n\
        Nov 22 08:39:02 vpn pppd[8]: No CHAP secret found for authenticating mallory.private\n\
        Nov 22 08:39:02 vpn pppd[8]: Peer mallory.private failed CHAP authentication\n\
        Nov 22 08:39:03 vpn pppd[9]: In file /home/mallory.private/options: unrecognized option 'x'\n";
    let found = findings("syslog", text);
    let told = |event: &Event| serde_json::to_string(event).unwrap().contains("mallory");
    assert!(found.iter().filter(|event| told(event)).count() >= 2, "{found:#?}");
    let privacy = Privacy::new(Mode::Omit, Mode::Plain, None).unwrap();
    for event in found {
        let said = privacy.apply(&event).unwrap().to_string();
        assert!(!said.contains("mallory"), "{said}");
    }
}

#[test]
fn real_cases_are_decided_rightly_or_not_at_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not here", folder.display());
        return;
    }
    let (mut right, mut undecided, mut wrong) = (0, 0, Vec::new());
    for (file, expected) in CASES {
        let text = std::fs::read(folder.join(format!("{file}.log"))).unwrap();
        let causes = causes(file, &text);
        println!("{file}: {causes:?}");
        let known: Vec<_> = causes.iter().filter(|(code, _)| code != "undecided").collect();
        if known.is_empty() {
            undecided += 1;
        } else if known.iter().all(|(code, _)| code == expected) {
            right += 1;
        } else {
            wrong.push(format!("{file}: {causes:?} instead of {expected}"));
        }
    }
    println!("{right} right, {undecided} undecided, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(right >= 9, "{right} right, {undecided} undecided");
}
