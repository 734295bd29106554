//! The file of a spool and the one that locks it, opened so that nobody who may write to their folder leads
//! root elsewhere: no symbolic link is followed, and nothing is truncated.
//!
//! queue-file opens by path and follows what it finds there. It gets the path of a descriptor, which is open
//! already and stays what it is, whatever is put in the place of the file meanwhile.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use queue_file::{Error, QueueFile};
use tracing::warn;

/// There are names and addresses of customers in it.
const MODE: u32 = 0o600;

/// A path beside `path`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Locks the spool: the file itself may be replaced.
pub(super) fn lock(path: &Path) -> io::Result<File> {
    let path = beside(path, "lock");
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let lock = no_link(OpenOptions::new().read(true).write(true).create(true).mode(MODE), &path);
    let lock = lock.map_err(named)?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another sink or agent uses this spool")
        }
        fs::TryLockError::Error(error) => named(error),
    })?;
    Ok(lock)
}

/// Opens the file of a spool, or makes it, and puts one that is damaged aside.
///
/// It has its full length from the beginning, with holes, and keeps it while there is something in it:
/// queue-file 2.0.0 loses elements when a ring that has wrapped grows, and leaves a header that does not fit when
/// one shrinks.
pub(super) fn open(path: &Path, length: u64) -> io::Result<QueueFile> {
    match existing(path, length) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => make(path, length),
        Err(Error::Io { source }) => Err(source),
        Err(damage) => {
            let aside = beside(path, "damaged");
            warn!("the spool {} is damaged ({damage}): it is now {}", path.display(), aside.display());
            // Replaces a link of that name instead of following it.
            fs::rename(path, aside)?;
            make(path, length)
        }
    }
}

/// The spool that is there; none when there is none, or an empty one that is too long.
fn existing(path: &Path, length: u64) -> Result<Option<QueueFile>, Error> {
    let file = match no_link(OpenOptions::new().read(true).write(true), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file").into());
    }
    let door = through(&file);
    // A capacity below every length changes none.
    let found = QueueFile::with_capacity(&door, 0).map_err(|error| match error {
        // It looks like one of queue-file 1, which it would write anew beside the descriptor, in /proc.
        Error::Io { source } if source.kind() == io::ErrorKind::NotFound => {
            let text = "not a spool, or /proc is not there";
            Error::Io { source: io::Error::new(io::ErrorKind::InvalidData, text) }
        }
        error => error,
    })?;
    let (is_empty, own_length) = (found.is_empty(), found.file_len());
    drop(found);
    if is_empty && own_length > length {
        return Ok(None);
    }
    let queue = QueueFile::with_capacity(&door, if is_empty { length } else { own_length })?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(Some(queue))
}

/// Makes an empty spool in the place of whatever is there.
///
/// queue-file writes a new one under another name first, and would follow and truncate what has that name: so it
/// does that in a folder which nobody else can write to.
fn make(path: &Path, length: u64) -> io::Result<QueueFile> {
    let name = beside(path, "new");
    // What a crash has left, or somebody has put there.
    match fs::symlink_metadata(&name) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&name)?,
        Ok(_) => fs::remove_file(&name)?,
        Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(&name)?;
    let result = (|| {
        let folder = no_link(OpenOptions::new().read(true), &name)?;
        let found = folder.metadata()?;
        let is_ours = found.mode() & 0o077 == 0 && found.uid() == rustix::process::geteuid().as_raw();
        if !(found.is_dir() && is_ours) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{}: somebody has put another folder there", name.display()),
            ));
        }
        let made = through(&folder).join("spool");
        let queue = QueueFile::with_capacity(&made, length).map_err(io::Error::other)?;
        fs::set_permissions(&made, Permissions::from_mode(MODE))?;
        fs::rename(&made, path)?;
        Ok(queue)
    })();
    let _ = fs::remove_dir_all(&name);
    result
}

/// Opens what is no symbolic link.
fn no_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Does not wait for the other end of a pipe that somebody has put there.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    file.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a symbolic link, which is not followed: name the file itself",
        ),
        _ => error,
    })
}

/// The path by which an open file can be opened again.
fn through(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
