//! What went into the correlator is recorded, and the same events come out again.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail like the test itself"
)]

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use pptpscope::replay::{ReplayError, replay};
use pptpscope::session::{Config, Correlator};
use pptpscope::source::capture::{Captures, Copies, Counter, Input};
use pptpscope::source::recording::{Error, Header, Recorder, Recording};
use pptpscope_tests::generate::{self, Plan};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Records a run over three calls; the recording and the lines that the run wrote.
fn record() -> (Vec<u8>, String) {
    let mut file = Vec::new();
    generate::pcap(&mut file, &Plan { calls: 3, open: 3, bytes: 20_000, down: 300, up: 60, ends: true })
        .unwrap();
    let mut captures = Captures::default();
    captures.add("test".into(), Ok(Input::new(Cursor::new(file), None).unwrap()));

    let config = Config { stats_interval: Duration::from_millis(1), ..Config::for_host("vpn") };
    let header =
        Header::new("vpn".into(), 1_000_000, config.max_sessions as u32, config.idle_limit.as_nanos() as u64);
    let recording = Shared::default();
    let mut recorder = Recorder::start(recording.clone(), &header).unwrap();
    let mut correlator = Correlator::new(config);
    let mut counter = Counter::new(100, Copies::Keep);
    let (mut events, mut lines) = (Vec::new(), String::new());
    let own = serde_json::json!({ "event": "agent.start", "order": ["z", "a"] });
    recorder.line(&own).unwrap();
    lines += &format!("{own}\n");
    let mut last = None;
    while let Some((file, frame)) = captures.next() {
        let at = frame.at;
        last = Some(at);
        if let Some(observation) = counter.packet(file, &frame) {
            recorder.observe(&observation).unwrap();
            correlator.observe(&observation, &mut events);
        }
        if correlator.next_deadline().is_some_and(|due| due <= at) {
            for observation in counter.flows(at) {
                recorder.observe(&observation).unwrap();
                correlator.observe(&observation, &mut events);
            }
            recorder.advance(at).unwrap();
            correlator.advance(at, &mut events);
        }
    }
    let end = last.unwrap() + Duration::from_secs(2);
    recorder.advance(end).unwrap();
    correlator.advance(end, &mut events);
    recorder.finish(end).unwrap();
    assert!(correlator.finish(end, &mut events));
    recorder.close().unwrap();
    for event in events {
        lines += &(serde_json::to_string(&event).unwrap() + "\n");
    }
    let recording = recording.0.lock().unwrap().clone();
    (recording, lines)
}

fn play(recording: Vec<u8>) -> (String, Result<(), ReplayError>) {
    let mut out = Vec::new();
    let done = Recording::open(Cursor::new(recording))
        .map_err(ReplayError::from)
        .and_then(|mut recording| replay(&mut recording, &mut out));
    (String::from_utf8(out).unwrap(), done)
}

#[test]
fn replay_gives_the_same_bytes() {
    let (recording, lines) = record();
    assert!(lines.lines().count() > 100 && lines.contains("gre.stats") && lines.contains("session.end"));
    let (replayed, done) = play(recording);
    done.unwrap();
    assert_eq!(replayed, lines);
}

#[test]
fn a_recording_holds_no_secret() {
    let (recording, _) = record();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(Cursor::new(recording)), &mut text)
        .unwrap();
    // Challenge, response and proof of the generated calls.
    for secret in ["07070707", "0123456789ABCDEF"] {
        assert!(!text.contains(secret), "{secret} is in the recording");
    }
    assert!(text.contains("user2"));
}

#[test]
fn a_cut_recording_replays_up_to_the_cut() {
    let (recording, lines) = record();
    let (replayed, done) = play(recording[..recording.len() * 2 / 3].to_vec());
    assert!(matches!(done, Err(ReplayError::Recording(Error::Cut { entries })) if entries > 10), "{done:?}");
    assert!(lines.starts_with(&replayed) && !replayed.is_empty());
}

#[test]
fn hostile_recordings_are_refused() {
    let gzip = |text: &str| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let open = |bytes: Vec<u8>| Recording::open(Cursor::new(bytes)).map(|_| ());
    assert!(matches!(open(b"plain text".to_vec()), Err(Error::NoRecording(_))));
    assert!(matches!(open(vec![]), Err(Error::NoRecording(_))));
    assert!(matches!(open(gzip("{}\n")), Err(Error::NoRecording(_))));
    let header = serde_json::to_string(&Header::new("h".into(), 1, 0, 0)).unwrap();
    let later = header.replace("\"version\":2", "\"version\":9");
    assert!(matches!(open(gzip(&(later + "\n"))), Err(Error::Version(9))));
    let (_, done) = play(gzip(&format!("{header}\n{{\"observe\":{{}}}}\n")));
    assert!(matches!(done, Err(ReplayError::Recording(Error::Damaged { entry: 1, .. }))), "{done:?}");
    // A line without end takes no more memory than a line may have.
    let (_, done) = play(gzip(&format!("{header}\n{}", "x".repeat(3 << 20))));
    assert!(matches!(done, Err(ReplayError::Recording(Error::Damaged { entry: 1, .. }))), "{done:?}");
    // Nonsense that is well-formed is replayed without a panic.
    let (_, done) =
        play(gzip(&format!("{header}\n{{\"advance\":\"2500-01-01T00:00:00Z\"}}\n{{\"line\":\"x\"}}\n")));
    done.unwrap();
}
