//! How full the ring is, by the positions that the kernel shows of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How full a ring was, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingLevel {
    /// Most since the last time that somebody asked.
    pub recent: u64,
    /// Most since the start.
    pub highest: u64,
}

/// The first two pages of a ring: each begins with a position, that of the reader and that of the writers
/// (kernel/bpf/ringbuf.c). Both only ever grow.
pub(super) struct Positions {
    pages: NonNull<AtomicUsize>,
    page_size: usize,
    level: RingLevel,
}

// SAFETY: the pages belong to nobody else, and are read as atomics only.
unsafe impl Send for Positions {}

impl Positions {
    /// Maps the pages of a ring, to be read.
    pub(super) fn map(ring: &impl AsFd) -> io::Result<Self> {
        let page_size = rustix::param::page_size();
        let (length, fd) = (page_size * 2, ring.as_fd().as_raw_fd());
        // SAFETY: a new mapping, where the kernel wants it.
        let pages = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = NonNull::new(pages.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { pages, page_size, level: RingLevel::default() })
    }

    fn position(&self, page: usize) -> usize {
        // SAFETY: within the two pages, aligned as the start of a page, and mapped while `self` lives.
        unsafe { self.pages.byte_add(page * self.page_size).as_ref() }.load(Ordering::Acquire)
    }

    /// Looks at the ring. To be called before it is read: then it is fullest.
    pub(super) fn look(&mut self) {
        // The reader is this process: its position does not move meanwhile.
        let reader = self.position(0);
        let used = self.position(1).wrapping_sub(reader) as u64;
        self.level.recent = self.level.recent.max(used);
        self.level.highest = self.level.highest.max(used);
    }

    /// What the looks since the last call saw.
    pub(super) fn take(&mut self) -> RingLevel {
        let level = self.level;
        self.level.recent = 0;
        level
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: what `map` mapped, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.pages.as_ptr().cast(), self.page_size * 2) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_level_is_what_is_written_and_not_read() {
        let path = std::env::temp_dir().join(format!("pptpscope-ring-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let page_size = rustix::param::page_size();
        file.set_len(page_size as u64 * 2).unwrap();
        let mut positions = Positions::map(&file).unwrap();
        let look = |positions: &mut Positions, reader: usize, writers: usize| {
            file.write_all_at(&reader.to_ne_bytes(), 0).unwrap();
            file.write_all_at(&writers.to_ne_bytes(), page_size as u64).unwrap();
            positions.look();
        };
        look(&mut positions, 0, 0);
        look(&mut positions, 100, 900);
        look(&mut positions, 1000, 1016);
        assert_eq!(positions.take(), RingLevel { recent: 800, highest: 800 });
        // Where `usize` begins anew.
        look(&mut positions, usize::MAX - 7, 16);
        assert_eq!(positions.take(), RingLevel { recent: 24, highest: 800 });
        assert_eq!(positions.take(), RingLevel { recent: 0, highest: 800 });
    }
}
