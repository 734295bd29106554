use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::place::beside;
use super::*;

fn entries(numbers: Range<u32>) -> Vec<Arc<Entry>> {
    let line = |number| format!(r#"{{"event":"drop","severity":"warning","number":{number:>4}}}"#) + "\n";
    numbers.map(|number| Arc::new(Entry::of_line(line(number).into_bytes()))).collect()
}

fn numbers(entries: &[Arc<Entry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.value()["number"].as_u64().unwrap()).collect()
}

fn counts(spool: &Spool) -> (u64, u64) {
    let counts = spool.counts();
    assert_eq!(counts.error, None);
    (counts.dropped, counts.spooled)
}

fn settings(name: &str, when_full: WhenFull) -> Settings {
    let path = std::env::temp_dir().join(format!("pptpscope-spool-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    Settings { path, bytes: 16_384, when_full }
}

fn away(settings: &Settings) {
    for suffix in ["lock", "damaged"] {
        let _ = fs::remove_file(beside(&settings.path, suffix));
    }
    fs::remove_file(&settings.path).unwrap();
}

#[test]
fn what_is_not_removed_is_there_after_a_restart() {
    let settings = settings("restart", WhenFull::DropNewest);
    let spool = Spool::open(settings.clone()).unwrap();
    assert_eq!(Spool::open(settings.clone()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    spool.add(&entries(0..10));
    let first = spool.next(4).unwrap();
    assert_eq!((first[0].event.as_str(), first[0].severity), ("drop", crate::event::Severity::Warning));
    assert_eq!(numbers(&first), [0, 1, 2, 3]);
    spool.remove(3);
    drop(spool);
    let spool = Spool::open(settings.clone()).unwrap();
    assert_eq!(counts(&spool), (0, 7));
    spool.add(&entries(10..11));
    assert_eq!(numbers(&spool.next(100).unwrap()), (3..11).collect::<Vec<_>>());
    spool.remove(8);
    spool.close();
    assert!(spool.next(1).is_none());
    away(&settings);
}

#[test]
fn a_full_one_keeps_the_beginning_or_the_present_and_counts() {
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let settings = settings("full", when_full);
        let spool = Spool::open(settings.clone()).unwrap();
        for batch in 0..50 {
            spool.add(&entries(batch * 10..batch * 10 + 10));
        }
        let (dropped, kept) = counts(&spool);
        assert_eq!(dropped + kept, 500);
        // 8 KiB beside the header, 94 bytes each.
        assert!((70..=87).contains(&kept), "{kept}");
        assert_eq!(fs::metadata(&settings.path).unwrap().len(), 16_384);
        let found = numbers(&spool.next(500).unwrap());
        let first = if when_full == WhenFull::DropNewest { 0 } else { 500 - kept };
        assert_eq!(found, (first..first + kept).collect::<Vec<_>>());
        away(&settings);
    }
}

#[test]
fn what_is_dropped_while_it_goes_out_counts_once_and_the_counter_never_falls() {
    let settings = settings("hand", WhenFull::DropOldest);
    for is_let_go in [false, true] {
        let spool = Spool::open(settings.clone()).unwrap();
        spool.add(&entries(0..20));
        assert_eq!(numbers(&spool.next(10).unwrap()).len(), 10);
        let (mut given, mut written, mut last) = (20, 0, 0);
        let mut check = |given: u64, written: u64| {
            let Counts { dropped, spooled, in_hand, error } = spool.counts();
            assert_eq!((written + dropped + spooled + in_hand, &error), (given, &None));
            assert!(dropped >= last, "{dropped} after {last}");
            last = dropped;
        };
        for batch in 2..20 {
            spool.add(&entries(batch * 10..batch * 10 + 10));
            given += 10;
            check(given, written);
            if batch == 15 {
                spool.remove(4);
                written += 4;
                check(given, written);
            }
        }
        assert_eq!(spool.counts().in_hand, 6);
        let before = spool.counts().dropped;
        if is_let_go {
            spool.let_go();
            assert_eq!(spool.counts().dropped, before + 6);
        } else {
            spool.remove(6);
            written += 6;
            assert_eq!(spool.counts().dropped, before);
        }
        check(given, written);
        let (dropped, kept) = counts(&spool);
        assert_eq!(numbers(&spool.next(1).unwrap()), [dropped + written]);
        spool.remove(1);
        assert_eq!(counts(&spool), (dropped, kept - 1));
        drop(spool);
        away(&settings);
    }
}

#[test]
fn damage_behind_what_went_out_does_not_send_it_again() {
    let settings = settings("behind", WhenFull::DropNewest);
    let spool = Spool::open(settings.clone()).unwrap();
    spool.add(&entries(0..10));
    let file = File::options().read(true).write(true).open(&settings.path).unwrap();
    // The head of the sixth event.
    let at = 8192 + 5 * size(&entries(0..1)[0]);
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 28], at).unwrap();
    assert_eq!(numbers(&spool.next(10).unwrap()), [0, 1, 2, 3, 4]);
    spool.remove(5);
    let Counts { dropped, spooled, in_hand, .. } = spool.counts();
    assert_eq!((dropped, spooled, in_hand), (5, 0, 0));
    spool.close();
    assert!(spool.next(10).is_none());
    away(&settings);
}

#[test]
fn is_a_queue_whatever_comes_and_goes() {
    let settings = Settings { bytes: 200_000, ..settings("model", WhenFull::DropNewest) };
    let mut spool = Spool::open(settings.clone()).unwrap();
    let (mut first, mut last, mut random) = (0_u32, 0_u32, 77_u32);
    for step in 0..2000 {
        if step % 100 == 0 {
            drop(spool);
            spool = Spool::open(settings.clone()).unwrap();
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let count = (random >> 16) % 64;
        // The ring wraps again and again, and is empty now and then.
        if last - first < 1500 && random >> 24 < 128 + 64 * (last / 3000 % 2) {
            spool.add(&entries(last..last + count));
            last += count;
        } else if first < last {
            let found = numbers(&spool.next(count.max(1) as usize).unwrap());
            let wanted = first..last.min(first + count.max(1));
            assert_eq!(found, wanted.clone().map(u64::from).collect::<Vec<_>>());
            spool.remove(found.len());
            first = wanted.end;
        }
        assert_eq!(counts(&spool), (0, u64::from(last - first)));
    }
    assert!(last > 10_000, "{last}");
    drop(spool);
    // Another size, as soon as it is empty.
    let spool = Spool::open(settings.clone()).unwrap();
    let rest = spool.next(2000).unwrap();
    spool.remove(rest.len());
    drop(spool);
    let settings = Settings { bytes: 20_000, ..settings };
    let _spool = Spool::open(settings.clone()).unwrap();
    assert_eq!(fs::metadata(&settings.path).unwrap().len(), 20_000);
    away(&settings);
}

#[test]
fn giants_and_damage_do_not_stop_the_others() {
    let settings = settings("damage", WhenFull::DropOldest);
    let spool = Spool::open(settings.clone()).unwrap();
    let giant = Arc::new(Entry::of_line(vec![b'x'; 8192]));
    spool.add(&[entries(0..1), vec![giant], entries(1..2)].concat());
    assert_eq!(numbers(&spool.next(9).unwrap()), [0, 1]);
    assert_eq!(counts(&spool), (1, 2));
    drop(spool);
    // The head of the first event.
    let mut bytes = fs::read(&settings.path).unwrap();
    bytes[8192..].fill(0xff);
    fs::write(&settings.path, bytes).unwrap();
    let spool = Spool::open(settings.clone()).unwrap();
    assert!(beside(&settings.path, "damaged").exists());
    spool.add(&entries(5..6));
    assert_eq!(numbers(&spool.next(9).unwrap()), [5]);
    away(&settings);
}

/// Fills the ring, takes the first half, and fills it again: what is in it goes around the end.
fn wrapped(spool: &Spool) -> Vec<u64> {
    spool.add(&entries(0..200));
    let count = counts(spool).1;
    let half = usize::try_from(count / 2).unwrap();
    spool.next(half).unwrap();
    spool.remove(half);
    spool.add(&entries(1000..1000 + u32::try_from(half).unwrap() - 5));
    (count / 2..count).chain(1000..1000 + half as u64 - 5).collect()
}

#[test]
fn another_size_destroys_nothing_that_waits() {
    for bytes in [20_000, 32_768, 65_536] {
        let smaller =
            Settings { bytes: 24_576, ..settings(&format!("resize-{bytes}"), WhenFull::DropNewest) };
        let spool = Spool::open(smaller.clone()).unwrap();
        let wanted = wrapped(&spool);
        drop(spool);
        let other = Settings { bytes, ..smaller.clone() };
        let spool = Spool::open(other.clone()).unwrap();
        assert_eq!(numbers(&spool.next(500).unwrap()), wanted);
        // Nothing beyond the length that it has, and what is added is there as well.
        spool.add(&entries(2000..2500));
        let count = counts(&spool).1;
        assert_eq!(spool.next(1000).unwrap().len() as u64, count);
        assert_eq!(fs::metadata(&other.path).unwrap().len(), 24_576);
        drop(spool);
        let spool = Spool::open(other.clone()).unwrap();
        assert_eq!(spool.next(1000).unwrap().len() as u64, count);
        spool.remove(1000);
        drop(spool);
        let spool = Spool::open(other.clone()).unwrap();
        assert_eq!(fs::metadata(&other.path).unwrap().len(), bytes);
        drop(spool);
        away(&smaller);
    }
}

#[test]
fn follows_no_link_and_truncates_nothing() {
    let settings = settings("links", WhenFull::DropNewest);
    let target = beside(&settings.path, "target");
    let links = ["lock", ".tmp", "new"].map(|suffix| beside(&settings.path, suffix));
    for link in links.iter().chain([&settings.path]) {
        fs::write(&target, "precious").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
        let _ = fs::remove_file(link);
        std::os::unix::fs::symlink(&target, link).unwrap();
        let result = Spool::open(settings.clone());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious", "{}", link.display());
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o644, "{}", link.display());
        if *link == links[0] || *link == settings.path {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("symbolic link"), "{error}");
        }
        let _ = fs::remove_file(link);
    }
    fs::remove_file(&target).unwrap();
    // A lock is not emptied either.
    let lock = beside(&settings.path, "lock");
    fs::write(&lock, "mine").unwrap();
    drop(Spool::open(settings.clone()).unwrap());
    assert_eq!(fs::read_to_string(&lock).unwrap(), "mine");
    assert_eq!(fs::metadata(&settings.path).unwrap().mode() & 0o777, 0o600);
    assert!(!beside(&settings.path, "new").exists());
    away(&settings);
}

#[test]
fn a_full_disk_drops_what_comes_keeps_what_is_there_and_counts() {
    use std::os::fd::{AsRawFd, FromRawFd};
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let settings = settings("disk", when_full);
        let spool = Spool::open(settings.clone()).unwrap();
        spool.add(&entries(0..10));
        // The same in a file that can be read, but takes nothing any more.
        // SAFETY: The name is a string with its zero; the descriptor is nobody else's.
        let full =
            unsafe { File::from_raw_fd(libc::memfd_create(c"full".as_ptr(), libc::MFD_ALLOW_SEALING)) };
        io::Write::write_all(&mut &full, &fs::read(&settings.path).unwrap()).unwrap();
        let door = format!("/proc/self/fd/{}", full.as_raw_fd());
        spool.lock().file = QueueFile::with_capacity(door, 16_384).unwrap();
        rustix::fs::fcntl_add_seals(&full, rustix::fs::SealFlags::WRITE).unwrap();
        spool.add(&entries(10..15));
        let Counts { dropped, spooled, in_hand, error } = spool.counts();
        assert_eq!((dropped, spooled, in_hand, error.is_some()), (5, 10, 0, true));
        assert_eq!(numbers(&spool.next(20).unwrap()), (0..10).collect::<Vec<_>>());
        // The header cannot be written either: what went out is gone for this process.
        spool.remove(4);
        assert_eq!(numbers(&spool.next(20).unwrap()), (4..10).collect::<Vec<_>>());
        spool.remove(6);
        let Counts { dropped, spooled, in_hand, .. } = spool.counts();
        assert_eq!((dropped, spooled, in_hand), (5, 0, 0));
        away(&settings);
    }
}
