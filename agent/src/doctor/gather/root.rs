//! Files of the host, or of another root: an image, a container's file system, a test's folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode as CreateMode, OFlags, ResolveFlags, openat2};

use crate::doctor::facts::{Mode, Seen, Unseen};

/// Files larger than this are not what they should be.
const MAX_FILE: u64 = 32 << 20;

/// Where paths begin.
#[derive(Debug)]
pub(super) struct Root {
    /// None for the running host.
    other: Option<OwnedFd>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) mode: Mode,
    /// Major and minor number of a character device.
    pub(super) device: Option<(u32, u32)>,
}

impl Root {
    pub(super) const fn host() -> Self {
        Self { other: None }
    }

    /// # Errors
    /// The folder cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let folder =
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, CreateMode::empty())?;
        Ok(Self { other: Some(folder) })
    }

    pub(super) const fn is_host(&self) -> bool {
        self.other.is_none()
    }

    fn file(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let Some(root) = &self.other else {
            let flags = i32::try_from(flags.bits()).unwrap_or(0);
            return fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
        };
        // Symbolic links with a leading / mean this root, and .. does not lead out of it.
        let flags = flags | OFlags::CLOEXEC;
        Ok(openat2(root, path, flags, CreateMode::empty(), ResolveFlags::IN_ROOT)?.into())
    }

    /// The bytes of a file.
    pub(super) fn bytes(&self, path: &Path) -> Seen<Vec<u8>> {
        let unseen = |error: &io::Error| unseen(path, error);
        // A pipe in the place of a file must not hold us up.
        let file = self
            .file(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
            .map_err(|error| unseen(&error))?;
        if !file.metadata().map_err(|error| unseen(&error))?.is_file() {
            return Err(Unseen::Failed(format!("{} is no file", path.display())));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unseen(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Unseen::Failed(format!("{} has more than 32 MiB", path.display())));
        }
        Ok(bytes)
    }

    /// The text of a file; what is no UTF-8 is replaced.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Seen<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path.as_ref())?).into_owned())
    }

    /// A file with one line.
    pub(super) fn line(&self, path: &str) -> Seen<String> {
        Ok(self.text(path)?.trim().to_owned())
    }

    pub(super) fn node(&self, path: &Path) -> Seen<Node> {
        let flags = OFlags::PATH;
        let found = match &self.other {
            None => fs::metadata(path),
            Some(_) => self.file(path, flags).and_then(|file| {
                // fstat works on a path descriptor.
                fs::metadata(format!("/proc/self/fd/{}", file.as_raw_fd()))
            }),
        };
        let found = found.map_err(|error| unseen(path, &error))?;
        let mode = Mode { bits: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() };
        let is_device = found.file_type().is_char_device();
        let device = is_device.then(|| (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev())));
        Ok(Node { mode, device })
    }

    pub(super) fn exists(&self, path: &Path) -> Option<bool> {
        match self.node(path) {
            Ok(_) => Some(true),
            Err(Unseen::Absent(_)) => Some(false),
            Err(_) => None,
        }
    }

    /// Names in a folder, sorted; none when it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let folder = match &self.other {
            None => PathBuf::from(path),
            Some(_) => match self.file(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(folder) => return names(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd()))),
                Err(_) => return Vec::new(),
            },
        };
        names(&folder)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

pub(super) fn unseen(path: &Path, error: &io::Error) -> Unseen {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unseen::Absent(path),
        io::ErrorKind::PermissionDenied => Unseen::Denied(path),
        _ => Unseen::Failed(format!("{path}: {error}")),
    }
}
