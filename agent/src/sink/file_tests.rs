use std::io::Read;

use flate2::read::GzDecoder;

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
        let mut files = rotated(&self.settings().path).unwrap();
        files.sort();
        files.push(self.settings().path);
        files.iter().map(|path| read(path)).collect()
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
    assert_eq!((folder.contents(), file.length), (vec!["2\n".to_owned()], 2));
    fs::rename(&folder.settings().path, folder.0.join("away")).unwrap();
    file.reopen().unwrap();
    assert_eq!(folder.contents(), ["start\n"]);
}
