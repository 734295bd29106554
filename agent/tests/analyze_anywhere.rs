//! `pptpscope analyze` as its own process: without any privilege, and in bounded memory whatever it reads.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "the helpers of a test may fail like the test itself"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::{Compression, write::GzEncoder};

/// Address space that the process may have, bytes; what it reads is several times as large.
const MEMORY: u64 = 256 << 20;

/// A file header of pcap (little-endian, microseconds, Ethernet).
fn header() -> Vec<u8> {
    let words = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn record(seconds: u32, frame: &[u8]) -> Vec<u8> {
    let length = frame.len() as u32;
    let words = [seconds, 0, length, length];
    words.iter().flat_map(|word| word.to_le_bytes()).chain(frame.iter().copied()).collect()
}

/// A SYN from a client to port 1723.
fn syn() -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 198, 51, 100, 7, 203, 0, 113, 1]);
    frame.extend([0x9c, 0x41, 0x06, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// A place that every user can read, with the program in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pptpscope-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_pptpscope"), folder.join("pptpscope")).unwrap();
        Self(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.join("pptpscope")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Runs `analyze --json -` behind `prefix` and gives it `input`; None, said loudly, when there is no `prefix`.
fn analyze(prefix: &[&str], program: &Path, input: Vec<u8>) -> Option<Output> {
    let mut words = prefix.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next()?);
    command.args(words).args(["analyze", "--json", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: {command:?} cannot be started");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A process that has read enough closes its end.
    let _ = writer.join().unwrap();
    Some(output)
}

#[test]
fn nobody_without_capabilities_can_analyse() {
    let place = Place::new("nobody");
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "--no-new-privs",
    ];
    let prefix: &[&str] = if is_root() { &nobody } else { &[] };
    let input = [header(), record(1, &syn())].concat();
    let Some(output) = analyze(prefix, &place.program(), input) else { return };
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(text.contains(r#""event":"session.start""#), "{text}{errors}");
}

fn limited(name: &str, input: Vec<u8>) -> Option<(bool, String, String)> {
    let place = Place::new(name);
    let limit = format!("--as={MEMORY}");
    let output = analyze(&["prlimit", &limit], &place.program(), input)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_gzip_bomb_takes_bounded_memory() {
    let compress = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    // 768 packets of a mebibyte each, three times the memory that is allowed, in a few mebibytes.
    let packets = compress(&record(1, &vec![0; 1 << 20]).repeat(16));
    let input = [compress(&[header(), record(1, &syn())].concat()), packets.repeat(48)].concat();
    assert!(input.len() < 8 << 20);
    let Some((success, text, errors)) = limited("bomb", input) else { return };
    assert!(success && text.contains(r#""packets":769"#), "{errors}");
}

#[test]
fn impossible_lengths_are_named_and_take_no_memory() {
    let section = [0x0a0d_0d0au32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28];
    let block = [6u32, 0xffff_fff0, 0, 0, 0, 0x7fff_fff0];
    let ng: Vec<u8> = section.iter().chain(&block).flat_map(|word| word.to_le_bytes()).collect();
    let huge = [1u32, 0, 0x7fff_fff0, 0x7fff_fff0];
    let pcap = [header(), huge.iter().flat_map(|word| word.to_le_bytes()).collect()].concat();
    for (name, input) in [("ng", ng), ("pcap", pcap)] {
        let padded = [input, vec![0; 1 << 20]].concat();
        let Some((success, text, errors)) = limited(name, padded) else { return };
        assert!(!success && errors.contains("byte"), "{name}: {errors}");
        assert!(text.contains(r#""event":"analysis.stop""#), "{name}: {text}");
    }
}
