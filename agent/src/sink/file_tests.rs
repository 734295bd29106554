use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::atomic::AtomicBool;

use flate2::read::GzDecoder;

use super::rotated::{compress, prune, rotated, with_gz};
use super::*;
use crate::event::Severity;

/// A folder of its own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pptpscope-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn settings(&self) -> Settings {
        Settings {
            path: self.0.join("events.jsonl"),
            rotate_bytes: None,
            rotate_age: None,
            keep: 3,
            compress: false,
            fsync: false,
        }
    }

    /// What is in the rotated files, oldest first, and in the current one.
    fn contents(&self) -> Vec<String> {
        let files = rotated(&self.settings().path).unwrap();
        let mut files: Vec<_> = files.into_iter().map(|rotated| rotated.path).collect();
        files.push(self.settings().path);
        files.iter().map(|path| read(path)).collect()
    }
}

/// Waits for what another thread does.
fn soon(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).unwrap();
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => GzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => (&file).read_to_string(&mut text).unwrap(),
    };
    text
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn entry(event: &str, text: &str) -> Arc<Entry> {
    Arc::new(Entry { event: event.into(), severity: Severity::Info, line: format!("{text}\n").into() })
}

fn write(file: &mut RotatingFile, event: &str, text: &str) {
    let mut progress = Progress::default();
    file.deliver(&[entry(event, text)], &mut progress).unwrap();
    assert_eq!(progress, Progress { written: 1, refused: 0 });
}

#[test]
fn rotates_by_size_keeps_the_newest_and_begins_each_with_the_start() {
    for compress in [false, true] {
        let folder = Folder::new(&format!("size-{compress}"));
        let settings = Settings { rotate_bytes: Some(10), compress, ..folder.settings() };
        let mut file = RotatingFile::open(settings).unwrap();
        write(&mut file, "agent.start", "start");
        for number in 0..12 {
            write(&mut file, "drop", &number.to_string());
        }
        let is_tidy = |files: Vec<rotated::Rotated>| {
            files.len() == 3 && files.iter().all(|rotated| rotated.is_compressed() == compress)
        };
        soon(|| is_tidy(rotated(&folder.settings().path).unwrap()));
        drop(file);
        let contents = folder.contents();
        assert_eq!(contents, ["start\n4\n5\n", "start\n6\n7\n", "start\n8\n9\n", "start\n10\n11\n"]);
    }
}

#[test]
fn names_sort_in_the_order_of_rotation_whatever_the_clock_says() {
    let folder = Folder::new("names");
    let path = folder.settings().path;
    let later: Timestamp = "2026-11-01T01:00:00Z".parse().unwrap();
    let earlier: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let names: Vec<_> = [earlier, earlier, later, earlier, later]
        .into_iter()
        .map(|now| {
            let name = next_name(&path, now).unwrap();
            fs::write(with_gz(&name), "").unwrap();
            name
        })
        .collect();
    assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    assert_eq!(names[0].extension().unwrap(), "20261101T000000Z-000");
    assert_eq!(names[4].extension().unwrap(), "20261101T010000Z-002");
}

#[test]
fn rotates_by_age() {
    let folder = Folder::new("age");
    let settings = Settings { rotate_age: Some(Duration::ZERO), ..folder.settings() };
    let mut file = RotatingFile::open(settings).unwrap();
    write(&mut file, "drop", "1");
    write(&mut file, "drop", "2");
    drop(file);
    assert_eq!(folder.contents(), ["1\n", "2\n"]);
}

#[test]
fn continues_a_file_and_takes_back_a_torn_line() {
    let folder = Folder::new("torn");
    fs::write(folder.settings().path, format!("whole\n{}", "x".repeat(9000))).unwrap();
    let mut file = RotatingFile::open(folder.settings()).unwrap();
    write(&mut file, "drop", "next");
    assert_eq!(folder.contents(), ["whole\nnext\n"]);
}

#[test]
fn notices_that_it_was_renamed_or_removed() {
    let folder = Folder::new("renamed");
    let path = folder.settings().path;
    let mut file = RotatingFile::open(folder.settings()).unwrap();
    write(&mut file, "drop", "1");
    fs::rename(&path, folder.0.join("moved")).unwrap();
    write(&mut file, "drop", "2");
    assert_eq!((read(&folder.0.join("moved")), read(&path)), ("1\n".into(), "2\n".into()));
    fs::remove_file(&path).unwrap();
    write(&mut file, "drop", "3");
    assert_eq!(read(&path), "3\n");
}

#[test]
fn refuses_a_link_and_a_file_that_another_one_writes() {
    let folder = Folder::new("refuses");
    let _first = RotatingFile::open(folder.settings()).unwrap();
    let error = RotatingFile::open(folder.settings()).unwrap_err();
    assert_eq!(error.to_string(), "another process writes to it");
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(folder.settings().path, &link).unwrap();
    assert!(RotatingFile::open(Settings { path: link, ..folder.settings() }).is_err());
}

#[test]
fn other_files_are_not_pruned() {
    let folder = Folder::new("prune");
    for name in ["events.jsonl.old", "events.jsonl.20260101", "events.jsonl.20260101T000000Z-000", "other"] {
        fs::write(folder.0.join(name), "").unwrap();
    }
    prune(&folder.settings().path, 0).unwrap();
    assert!(folder.0.join("events.jsonl.old").exists() && folder.0.join("events.jsonl.20260101").exists());
    assert!(!folder.0.join("events.jsonl.20260101T000000Z-000").exists());
}

#[test]
fn a_file_that_stayed_in_place_is_opened_anew_beside_its_own_lock() {
    let folder = Folder::new("reopen");
    let mut file = RotatingFile::open(folder.settings()).unwrap();
    write(&mut file, "agent.start", "start");
    file.reopen().unwrap();
    write(&mut file, "drop", "1");
    // copytruncate of logrotate.
    file.file.set_len(0).unwrap();
    file.reopen().unwrap();
    write(&mut file, "drop", "2");
    assert_eq!((folder.contents(), file.length), (vec!["start\n2\n".to_owned()], 8));
    fs::rename(&folder.settings().path, folder.0.join("away")).unwrap();
    file.reopen().unwrap();
    assert_eq!(folder.contents(), ["start\n"]);
}

#[test]
fn the_thousandth_of_a_second_comes_after_the_others_and_overwrites_none() {
    let folder = Folder::new("thousand");
    let path = folder.settings().path;
    let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let named = |serial: &str| folder.0.join(format!("events.jsonl.20261101T000000Z-{serial}"));
    for serial in ["998", "999"] {
        fs::write(named(serial), serial).unwrap();
    }
    for serial in ["1000", "1001", "1002"] {
        let name = next_name(&path, now).unwrap();
        assert_eq!(name, named(serial));
        fs::write(&path, serial).unwrap();
        rename_new(&path, &name).unwrap();
    }
    fs::write(&path, "other").unwrap();
    let error = rename_new(&path, &named("1000")).unwrap_err();
    assert_eq!((error.kind(), read(&named("1000"))), (io::ErrorKind::AlreadyExists, "1000".into()));
    prune(&path, 3).unwrap();
    assert_eq!(folder.contents(), ["1000", "1001", "1002", "other"]);
}

#[test]
fn a_file_that_somebody_empties_gets_no_zeros_and_does_not_rotate_early() {
    let folder = Folder::new("emptied");
    let settings = Settings { rotate_bytes: Some(20), ..folder.settings() };
    let mut file = RotatingFile::open(settings).unwrap();
    write(&mut file, "drop", "a long line");
    File::create(folder.settings().path).unwrap();
    write(&mut file, "drop", "another one");
    write(&mut file, "drop", "third");
    assert_eq!(folder.contents(), ["another one\nthird\n"]);
    // A file that takes nothing any more.
    // SAFETY: The name is a string with its zero; the descriptor is nobody else's.
    let sealed =
        unsafe { File::from_raw_fd(libc::memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING)) };
    (&sealed).write_all(b"whole\ntorn").unwrap();
    rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::WRITE).unwrap();
    (file.file, file.length) = (sealed, 100);
    file.append(b"line\n").unwrap_err();
    assert_eq!((file.file.metadata().unwrap().len(), file.length), (6, 6));
}

#[test]
fn what_a_stop_left_is_finished_by_the_next_start() {
    let folder = Folder::new("left");
    let path = folder.settings().path;
    let [first, second, third] =
        [0, 1, 2].map(|serial| with(&path, &format!(".20261101T000000Z-00{serial}")));
    for (file, text) in [(&first, "1\n"), (&second, "2\n"), (&third, "3\n")] {
        fs::write(file, text).unwrap();
    }
    let (partial, foreign) = (with(&first, ".partial"), with(&path, ".partial"));
    fs::write(&partial, "half").unwrap();
    fs::write(&foreign, "somebody's").unwrap();
    // A stop between the last two steps, and another file under that name.
    compress(&second, &AtomicBool::new(false)).unwrap();
    fs::write(&second, "2\n").unwrap();
    compress(&third, &AtomicBool::new(false)).unwrap();
    fs::write(&third, "other\n").unwrap();
    let file = RotatingFile::open(Settings { compress: true, ..folder.settings() }).unwrap();
    soon(|| !first.exists() && !second.exists());
    drop(file);
    assert_eq!([&first, &second, &third].map(|path| read(&with_gz(path))), ["1\n", "2\n", "3\n"]);
    assert_eq!(read(&third), "other\n");
    assert!(!partial.exists() && foreign.exists());
}

#[test]
fn its_end_does_not_wait_for_a_file_to_be_compressed() {
    let folder = Folder::new("end");
    let big = with(&folder.settings().path, ".20261101T000000Z-000");
    let partial = with(&big, ".partial");
    File::create(&big).unwrap().set_len(20 << 30).unwrap();
    let file = RotatingFile::open(Settings { compress: true, ..folder.settings() }).unwrap();
    soon(|| partial.exists());
    let begun = Instant::now();
    drop(file);
    assert!(begun.elapsed() < Duration::from_secs(1));
    soon(|| !partial.exists());
    assert!(big.exists() && !with_gz(&big).exists());
}

#[test]
fn nothing_counts_as_written_or_is_renamed_before_it_is_on_the_disk() {
    let folder = Folder::new("safe");
    let mut file = RotatingFile::open(Settings { fsync: true, ..folder.settings() }).unwrap();
    write(&mut file, "drop", "1");
    let mut progress = Progress::default();
    file.append_all(&[entry("drop", "2")], &mut progress).unwrap();
    assert_eq!((progress.written, file.held), (0, 1));
    // A file that cannot be synchronised.
    file.file = OpenOptions::new().append(true).open("/dev/null").unwrap();
    file.rotate(&mut progress).unwrap_err();
    assert_eq!((progress.written, file.length), (0, 2));
    assert!(folder.settings().path.exists() && rotated(&folder.settings().path).unwrap().is_empty());
}
