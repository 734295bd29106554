//! Any bytes as the lines of a log: each is counted once, and what was understood is bounded, shows no control
//! characters, and survives being written and read again.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use pptpscope::logs::reader::{Reader, Settings};
use pptpscope::observation::log::MAX_TEXT;
use pptpscope::observation::{Observation, What};
use pptpscope::time::Timestamp;

/// Bytes that escaping makes of one.
const ESCAPED: usize = 4;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(Settings {
        source: "fuzz".into(),
        zone: TimeZone::UTC,
        zone_given: false,
        reference: Timestamp::from_unix_ns(1_795_800_000_000_000_000),
        boot: Some(1_795_700_000_000_000_000),
    });
    let mut lines = 0;
    for line in data.split(|byte| *byte == b'\n') {
        lines += 1;
        let Some(observation) = reader.line(line) else { continue };
        let What::Log(log) = &observation.what else { panic!("a line is a line") };
        assert!(log.text.len() <= MAX_TEXT * ESCAPED && !log.text.contains(char::is_control));
        let text = serde_json::to_string(&observation).expect("observations have a serialised form");
        assert_eq!(serde_json::from_str::<Observation>(&text).expect("their own"), observation);
    }
    let counts = reader.counts();
    assert_eq!(counts.lines, lines);
    let sum = counts.foreign + counts.recognised + counts.unknown + counts.empty + counts.unreadable;
    assert_eq!(sum, lines);
});
