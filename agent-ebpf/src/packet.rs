//! One view on a packet for both kinds of hook.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::{TcContext, XdpContext};
use pptpscope_common::{Direction, SNAP_BYTES};

/// A packet, read by offsets from its first byte. Nothing here writes to it.
pub(crate) trait Packet {
    /// `N` bytes at `offset`. None when the packet ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies `length` bytes at `offset` to the start of `to`. False when the packet ends before.
    ///
    /// `length` is at least 8 and at most [`SNAP_BYTES`].
    fn copy(&self, offset: usize, length: usize, to: &mut [u8; SNAP_BYTES]) -> bool;

    /// Bytes of the packet.
    fn len(&self) -> usize;

    /// The interface that the program is attached to.
    fn ifindex(&self) -> u32;

    /// Which way the packet passes that interface.
    fn direction(&self) -> Direction;
}

/// `N` bytes at `start + offset`, when they lie before `end`.
///
/// This is the form that the verifier knows: one pointer, compared with the end of the packet
/// after adding the length, then read through.
#[inline(always)]
fn read_direct<const N: usize>(start: usize, end: usize, offset: usize) -> Option<[u8; N]> {
    let at = opaque(start + offset);
    if at + N > end {
        return None;
    }
    // SAFETY: start to end is the packet's linear part, readable while the program runs, and
    // at..at + N lies in it. Arrays of bytes have no alignment.
    Some(unsafe { *(at as *const [u8; N]) })
}

/// The same value, of which the compiler knows nothing.
///
/// It would otherwise compare one sum with the end of the packet and read through another one that
/// it added up in a different order. They are equal, but the verifier trusts only the pointer that
/// was compared. The instruction is there because without one the line table has two entries for
/// the next, which the kernel refuses.
#[inline(always)]
#[cfg_attr(not(target_arch = "bpf"), expect(unused_mut, reason = "changed by the assembler only"))]
fn opaque(mut value: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    // SAFETY: moves a register to itself.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack));
    }
    value
}

/// A frame in a driver's receive buffer. Without multi-buffer support all of it is in one piece.
pub(crate) struct XdpPacket<'a> {
    context: &'a XdpContext,
}

impl<'a> XdpPacket<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }
}

impl Packet for XdpPacket<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        read_direct(self.context.data(), self.context.data_end(), offset)
    }

    /// Kernels before 5.18 have no helper for this, so it goes eight bytes at a time. The last
    /// step overlaps the one before: the verifier then has no second loop to follow for the tail.
    #[inline(always)]
    fn copy(&self, offset: usize, length: usize, to: &mut [u8; SNAP_BYTES]) -> bool {
        const STEP: usize = 8;
        let (start, end) = (self.context.data(), self.context.data_end());
        let mut done = 0;
        while done + STEP <= SNAP_BYTES && done + STEP <= length {
            let Some(bytes) = read_direct::<STEP>(start + offset, end, done) else { return false };
            to[done..done + STEP].copy_from_slice(&bytes);
            done += STEP;
        }
        let last = length - STEP;
        if last > SNAP_BYTES - STEP {
            return false;
        }
        let Some(bytes) = read_direct::<STEP>(start, end, offset + last) else { return false };
        to[last..last + STEP].copy_from_slice(&bytes);
        true
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.context.data_end() - self.context.data()
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn direction(&self) -> Direction {
        Direction::Ingress
    }
}

/// An skb. Its first bytes lie in one piece, how many is up to the driver; the rest may be spread
/// over pages.
pub(crate) struct TcPacket<'a> {
    context: &'a TcContext,
    direction: Direction,
}

impl<'a> TcPacket<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a TcContext, direction: Direction) -> Self {
        Self { context, direction }
    }
}

impl Packet for TcPacket<'_> {
    /// Reads the linear part directly and copies from the pages only when it is too short.
    ///
    /// Not `bpf_skb_pull_data`: that would make the driver's skb linear and private, which is a
    /// copy of every packet as soon as somebody else (tcpdump) holds a clone of it.
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if let Some(bytes) = read_direct(self.context.data(), self.context.data_end(), offset) {
            return Some(bytes);
        }
        let mut bytes = [0; N];
        // SAFETY: the context is this program's, and `bytes` is N bytes long. The helper checks
        // offset + N against the length of the packet.
        let failed = unsafe {
            bpf_skb_load_bytes(self.context.as_ptr(), offset as u32, bytes.as_mut_ptr().cast(), N as u32)
        };
        (failed == 0).then_some(bytes)
    }

    #[inline(always)]
    fn copy(&self, offset: usize, length: usize, to: &mut [u8; SNAP_BYTES]) -> bool {
        if length == 0 || length > SNAP_BYTES {
            return false;
        }
        // SAFETY: as in `read`, and length is within `to`.
        let failed = unsafe {
            bpf_skb_load_bytes(self.context.as_ptr(), offset as u32, to.as_mut_ptr().cast(), length as u32)
        };
        failed == 0
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.context.len() as usize
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context of a classifier is a live __sk_buff.
        unsafe { (*self.context.skb.skb).ifindex }
    }

    #[inline(always)]
    fn direction(&self) -> Direction {
        self.direction
    }
}
