//! The files beside a [`RotatingFile`](super::RotatingFile) that were rotated out of it: their names and order,
//! their compression, and the removal of the oldest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// What a file ends with that is on its way to be compressed.
const PARTIAL: &str = ".partial";
const BLOCK: usize = 64 << 10;

/// A file that was rotated out. They are in the order of rotation: as text, 1000 would come before 999.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rotated {
    stamp: String,
    serial: u64,
    pub(super) path: PathBuf,
}

impl Rotated {
    pub(super) fn is_compressed(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "gz")
    }
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Puts the names of the files in a folder on the disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The name of a compressed file.
pub(super) fn with_gz(path: &Path) -> PathBuf {
    with(path, ".gz")
}

/// 20261101T010000Z-000: when, and which of that second.
fn parse(name: &[u8]) -> Option<(String, u64)> {
    let text = str::from_utf8(name).ok()?;
    let (stamp, serial) = text.split_once('-')?;
    let shape = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    let is_ours = stamp.len() == 16
        && stamp.bytes().enumerate().all(shape)
        && serial.len() >= 3
        && serial.bytes().all(|byte| byte.is_ascii_digit());
    Some((stamp.to_owned(), serial.parse().ok()?)).filter(|_| is_ours)
}

/// What stands beside `path` under a name of a rotated file, after which `suffix` may follow; oldest first.
fn named(path: &Path, suffix: &str, is_needed: bool) -> io::Result<Vec<(Rotated, bool)>> {
    let prefix = with(Path::new(path.file_name().unwrap_or_default()), ".");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.as_bytes().strip_prefix(prefix.as_os_str().as_bytes()) else { continue };
        let rest = match rest.strip_suffix(suffix.as_bytes()) {
            None if is_needed => continue,
            stripped => stripped.unwrap_or(rest),
        };
        if let Some((stamp, serial)) = parse(rest) {
            let is_file = entry.file_type()?.is_file();
            found.push((Rotated { stamp, serial, path: entry.path() }, is_file));
        }
    }
    found.sort();
    Ok(found)
}

/// Files beside `path` that were rotated out of it, oldest first.
pub(super) fn rotated(path: &Path) -> io::Result<Vec<Rotated>> {
    let found = named(path, ".gz", false)?;
    Ok(found.into_iter().filter(|(_, is_file)| *is_file).map(|(rotated, _)| rotated).collect())
}

/// A name beside `path` that says when and that comes after all others there: a file can fill within a
/// second, and clocks are set back.
pub(super) fn next_name(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let newest = named(path, ".gz", false)?.pop().map(|(newest, _)| newest);
    let (stamp, serial) = match newest {
        Some(newest) if newest.stamp >= stamp => (newest.stamp, newest.serial.saturating_add(1)),
        _ => (stamp, 0),
    };
    Ok(with(path, &format!(".{stamp}-{serial:03}")))
}

/// Renames, but not onto a file that is there.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every filesystem can; the name is of our choice, so that nobody else should take it meanwhile.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::symlink_metadata(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(from, to),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        },
        result => Ok(result?),
    }
}

/// Removes what an earlier run has left half compressed. The uncompressed file is there yet.
pub(super) fn remove_partial(path: &Path) -> io::Result<()> {
    named(path, PARTIAL, true)?.into_iter().try_for_each(|(partial, _)| fs::remove_file(partial.path))
}

/// Compresses a rotated file, unless it is gone, or `is_over` says to leave it for another time.
pub(super) fn compress(path: &Path, is_over: &AtomicBool) -> io::Result<()> {
    let no_link = || OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut file = match no_link() {
        // It was too old to be kept.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let target = with_gz(path);
    if target.exists() {
        // A stop between the last two steps.
        return if holds(&target, file)? {
            fs::remove_file(path)
        } else {
            Err(io::ErrorKind::AlreadyExists.into())
        };
    }
    // Not under its name before it is whole.
    let partial = with(path, PARTIAL);
    let out = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&partial)?;
    let result = (|| {
        let mut encoder = GzEncoder::new(out, Compression::default());
        let mut block = vec![0; BLOCK];
        loop {
            if is_over.load(Ordering::Acquire) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = file.read(&mut block)?;
            if count == 0 {
                break;
            }
            encoder.write_all(block.get(..count).unwrap_or_default())?;
        }
        encoder.finish()?.sync_data()?;
        rename_new(&partial, &target)
    })();
    match result {
        Ok(()) => {
            sync_folder(path)?;
            fs::remove_file(path)
        }
        Err(error) => {
            let _ = fs::remove_file(&partial);
            if is_over.load(Ordering::Acquire) { Ok(()) } else { Err(error) }
        }
    }
}

/// Whether a compressed file has what is in the other one.
fn holds(compressed: &Path, plain: File) -> io::Result<bool> {
    let mut compressed = GzDecoder::new(File::open(compressed)?);
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let mut plain = plain;
    loop {
        expected.clear();
        found.clear();
        (&mut plain).take(BLOCK as u64).read_to_end(&mut expected)?;
        if (&mut compressed).take(BLOCK as u64).read_to_end(&mut found).is_err() || expected != found {
            return Ok(false);
        }
        if expected.is_empty() {
            return Ok(true);
        }
    }
}

/// Removes all but the newest `keep` rotated files, as far as it can; tells the first thing in the way.
pub(super) fn prune(path: &Path, keep: usize) -> io::Result<()> {
    let rotated = rotated(path)?;
    let surplus = rotated.len().saturating_sub(keep);
    let results: Vec<_> = rotated.into_iter().take(surplus).map(|old| fs::remove_file(old.path)).collect();
    results.into_iter().collect()
}
