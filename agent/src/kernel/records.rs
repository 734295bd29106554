//! The ring, read.

use std::io;

use aya::maps::{MapData, RingBuf};
use pptpscope_common::RecordHeader;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Records of the kernel programs, oldest first.
pub struct Records {
    ring: AsyncFd<RingBuf<MapData>>,
    /// The last drain stopped at its limit: no wake-up comes for what it left.
    unfinished: bool,
    malformed: u64,
}

impl Records {
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its descriptor, which stays the same and open while it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        // What came before the first wait woke nobody.
        Ok(Self { ring, unfinished: true, malformed: 0 })
    }

    /// Waits until there may be something to [`drain`](Self::drain). Cancel safe.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn readable(&mut self) -> io::Result<()> {
        if !self.unfinished {
            // The kernel wakes again only after the reader has caught up, which draining does.
            self.ring.readable().await?.clear_ready();
        }
        Ok(())
    }

    /// Hands at most `limit` records to `each`: the header, and the packet from its IPv4 header
    /// on. Returns how many.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(RecordHeader, &[u8])) -> usize {
        let ring = &mut self.ring.get_mut();
        let mut count = 0;
        while count < limit {
            let Some(entry) = ring.next() else {
                self.unfinished = false;
                return count;
            };
            match RecordHeader::split(&entry) {
                Some((header, packet)) => each(header, packet),
                None => self.malformed += 1,
            }
            count += 1;
        }
        self.unfinished = true;
        count
    }

    /// Records that were shorter than they said: agent and programs were built apart.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}
