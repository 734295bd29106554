use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::*;
use crate::observation::What;

const NOW: &str = "2026-11-22T10:00:00Z";

/// A folder for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pptpscope-follow-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn line(unit: u32) -> String {
    format!("2026-11-22T10:00:01Z vpn pppd[1]: Using interface ppp{unit}\n")
}

fn follower(path: &Path) -> Follower {
    let options =
        Options { files: vec![path.to_owned()], back: Duration::from_secs(600), ..Options::default() };
    Follower::start(&options, NOW.parse().unwrap(), Timestamp::from_unix_ns(0))
}

/// The units of the lines that are new.
fn new(follower: &mut Follower) -> Vec<String> {
    let mut seen = Vec::new();
    let mut take = |observation: Observation| {
        if let What::Log(log) = observation.what {
            seen.push(log.text.rsplit(' ').next().unwrap().to_owned());
        }
    };
    while follower.poll(&mut take) {}
    seen
}

#[test]
fn lines_survive_rotation() {
    let folder = Folder::new("rotation");
    let path = folder.0.join("syslog");
    let mut follower = follower(&path);
    assert!(new(&mut follower).is_empty(), "the file is not there yet");
    append(&path, &line(0));
    append(&path, "2026-11-22T10:00:01Z vpn pppd[1]: Using inter");
    assert_eq!(new(&mut follower), ["ppp0"]);
    append(&path, "face ppp1\n");
    assert_eq!(new(&mut follower), ["ppp1"]);
    // By rename: the old one is read to its end first.
    append(&path, &line(2));
    fs::rename(&path, folder.0.join("syslog.1")).unwrap();
    append(&folder.0.join("syslog.1"), &line(3));
    assert_eq!(new(&mut follower), ["ppp2", "ppp3"]);
    append(&path, &line(4));
    assert_eq!(new(&mut follower), ["ppp4"]);
    // The writer has not been told yet.
    append(&folder.0.join("syslog.1"), &line(41));
    append(&path, &line(42));
    assert_eq!(new(&mut follower), ["ppp41", "ppp42"]);
    // By copytruncate.
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    assert!(new(&mut follower).is_empty());
    append(&path, &line(5));
    assert_eq!(new(&mut follower), ["ppp5"]);
    let summary = follower.members().next().unwrap();
    assert_eq!((summary.rotations, summary.counts.lines, summary.lost_bytes), (2, 8, 0));
}

#[test]
fn a_file_that_is_longer_than_before_it_was_cut_is_begun_anew() {
    let folder = Folder::new("copytruncate");
    let path = folder.0.join("syslog");
    append(&path, &(line(0) + &line(1)));
    append(&path, line(2).trim_end());
    let mut follower = follower(&path);
    assert_eq!(new(&mut follower), ["ppp0", "ppp1"]);
    // Between two looks: cut, and more than before written into it.
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    append(&path, &(10..15).map(line).collect::<String>());
    // What had no end of line is a line.
    assert_eq!(new(&mut follower), ["ppp2", "ppp10", "ppp11", "ppp12", "ppp13", "ppp14"]);
    append(&path, &line(15));
    assert_eq!(new(&mut follower), ["ppp15"]);
    let summary = follower.members().next().unwrap();
    assert_eq!((summary.rotations, summary.counts.lines), (1, 9));
}

#[test]
fn several_files_are_rotated_again_and_again() {
    let folder = Folder::new("several");
    let paths: Vec<_> = (0..3).map(|file| folder.0.join(format!("log{file}"))).collect();
    let options = Options { files: paths.clone(), back: Duration::from_secs(600), ..Options::default() };
    let mut follower = Follower::start(&options, NOW.parse().unwrap(), Timestamp::from_unix_ns(0));
    assert!(new(&mut follower).is_empty());
    for round in 0..30u32 {
        let mut wanted = Vec::new();
        for (file, path) in (0..).zip(&paths) {
            for count in 0..6 {
                let unit = round * 100 + file * 10 + count;
                wanted.push(format!("ppp{unit}"));
                append(path, &line(unit));
                match (count, (round + file) % 3) {
                    (4, 0) => fs::rename(path, path.with_extension("1")).unwrap(),
                    (4, 1) => fs::remove_file(path).unwrap(),
                    _ => {}
                }
            }
        }
        // In the first round nothing was open yet that could be read after it has gone.
        let mut seen = new(&mut follower);
        seen.sort_unstable();
        wanted.sort_unstable();
        assert!(round == 0 || seen == wanted, "round {round}: {seen:?}");
    }
    assert!(follower.members().all(|file| (19..=20).contains(&file.rotations) && file.lost_bytes == 0));
}

#[test]
fn old_lines_are_left_out_and_recent_ones_are_not() {
    let folder = Folder::new("back");
    let path = folder.0.join("syslog");
    append(&path, "2026-11-22T09:00:00Z vpn pppd[1]: Using interface ppp0\n");
    append(&path, "2026-11-22T09:55:00Z vpn pppd[1]: Using interface ppp1\n");
    assert_eq!(new(&mut follower(&path)), ["ppp1"]);
}

#[test]
fn a_flood_and_a_line_without_end_are_bounded() {
    let folder = Folder::new("flood");
    let path = folder.0.join("syslog");
    append(&path, &line(1).repeat(200_000));
    append(&path, &format!("{}{}", line(2).trim_end(), "x".repeat(1 << 20)));
    append(&path, "\n");
    append(&path, &line(3));
    let mut follower = follower(&path);
    // What is beyond the part that is read back at the start is left out: this flood fits.
    let seen = new(&mut follower);
    assert_eq!(seen.len(), 200_002);
    let counts = follower.members().next().unwrap().counts;
    assert_eq!((counts.lines, counts.cut), (200_002, 1));
}

/// Writes `ppp{units}` lines into a file of a journal, each a millisecond after the other; the first one
/// `ago` seconds ago.
fn journal(path: &Path, units: std::ops::Range<u32>, ago: u64) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let base = now.as_micros() - u128::from(ago) * 1_000_000;
    let mut export = String::new();
    for unit in units {
        let (at, since_boot) = (base + u128::from(unit) * 1000, 1_000_000_000 + u64::from(unit) * 1000);
        export += &format!(
            "__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={since_boot}\n_BOOT_ID={:032x}\n_MACHINE_ID={:032x}\n\
             _HOSTNAME=vpn\nSYSLOG_IDENTIFIER=pppd\n_PID=7\nMESSAGE=Using interface ppp{unit}\n\n",
            1, 2
        );
    }
    let source = path.with_extension("export");
    fs::write(&source, export).unwrap();
    let mut writer = std::process::Command::new("/lib/systemd/systemd-journal-remote");
    let output = writer.arg("--output").arg(path).arg(&source).output();
    output.is_ok_and(|output| output.status.success())
}

/// Polls until `count` lines came, or ten seconds are over.
fn wait_for(follower: &mut Follower, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..100 {
        seen.extend(new(follower));
        if seen.len() >= count {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    seen
}

fn units(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|unit| format!("ppp{unit}")).collect()
}

#[test]
fn a_real_journal_is_read_back_followed_and_survives_rotation() {
    let folder = Folder::new("journal");
    let (old, file) = (folder.0.join("system@1.journal"), folder.0.join("system.journal"));
    // From an hour ago: too old. Then more than journalctl shows by itself when it follows.
    if !journal(&file, 0..3, 3600) || !journal(&file, 3..40, 60) {
        eprintln!("SKIPPED: this needs journalctl and systemd-journal-remote");
        return;
    }
    let start = || {
        let options = Options {
            journal: true,
            journal_directory: Some(folder.0.clone()),
            back: Duration::from_secs(600),
            ..Options::default()
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = Timestamp::from_unix_ns(u64::try_from(now.as_nanos()).unwrap());
        Follower::start(&options, now, Timestamp::from_unix_ns(0))
    };
    let mut follower = start();
    assert_eq!(wait_for(&mut follower, 37), units(3..40));
    assert!(journal(&file, 40..45, 30));
    assert_eq!(wait_for(&mut follower, 5), units(40..45));
    // As journald does: the file is renamed and a new one begun.
    fs::rename(&file, &old).unwrap();
    assert!(journal(&file, 45..60, 20));
    assert_eq!(wait_for(&mut follower, 15), units(45..60));
    // journalctl dies, twenty lines are written, it is started behind the last one that was read.
    follower.journal.as_mut().unwrap().kill();
    assert!(journal(&file, 60..80, 10));
    assert_eq!(wait_for(&mut follower, 20), units(60..80));
    let summary = follower.members().next().unwrap();
    assert_eq!((summary.counts.recognised, summary.counts.unreadable, summary.rotations), (77, 0, 1));
    // What journalctl has given when the agent ends is lost, and counted.
    let lost = (1..20).map(|tries| {
        let mut follower = start();
        follower.poll(&mut |_| ());
        std::thread::sleep(Duration::from_millis(100 * tries));
        follower.give_up();
        follower.members().map(|log| log.lost_bytes).sum::<u64>()
    });
    assert!(lost.into_iter().any(|bytes| bytes > 77 * 100));
}
