//! The ring, read.

use std::io;

use aya::maps::{MapData, RingBuf};
use pptpscope_common::RecordHeader;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ring_level::{Positions, RingLevel};

/// Records of the kernel programs, oldest first.
pub struct Records {
    ring: AsyncFd<RingBuf<MapData>>,
    /// The last drain stopped at its limit: no wake-up comes for what it left.
    unfinished: bool,
    /// Absent where the kernel does not show them.
    positions: Option<Positions>,
    malformed: u64,
}

impl Records {
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // To know how full the ring was is not needed to read it.
        let positions = Positions::map(&ring)
            .inspect_err(|error| tracing::debug!("the level of the ring is not known: {error}"))
            .ok();
        // SAFETY: the ring owns its descriptor, which stays the same and open while it lives.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        // What came before the first wait woke nobody.
        Ok(Self { ring, unfinished: true, positions, malformed: 0 })
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
        if let Some(positions) = &mut self.positions {
            positions.look();
        }
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

    /// How full the ring was since the last time; None where the kernel does not show it.
    pub fn take_level(&mut self) -> Option<RingLevel> {
        self.positions.as_mut().map(Positions::take)
    }

    /// Records that were shorter than they said: agent and programs were built apart.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}
