//! One view on a packet for both kinds of hook.

use core::arch::asm;
use core::ptr::addr_of;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::{TcContext, XdpContext};
use pptpscope_common::{Direction, Record, SNAP_BYTES};

/// A packet, read by offsets from its first byte. Nothing here writes to it.
pub(crate) trait Packet {
    /// `N` bytes at `offset`. None when the packet ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Copies the bytes at `offset` to the packet of `record`: as many as its
    /// `header.captured_bytes` says, 16 to [`SNAP_BYTES`]. False when the packet ends before.
    fn copy(&self, offset: usize, record: &mut Record) -> bool;

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
    let mut bytes = [0; N];
    let to: *mut u8 = bytes.as_mut_ptr();
    // In words, which stay in registers: the compiler would load and shift byte after byte. No loop,
    // because it would not unroll one.
    const { assert!(N < 24) };
    // SAFETY: start to end is the packet's linear part, readable while the program runs, and at..at + N
    // lies in it; the bits of N say what of it has not been loaded yet.
    unsafe {
        if N >= 8 {
            to.cast::<u64>().write_unaligned(load_8(at));
        }
        if N >= 16 {
            to.add(8).cast::<u64>().write_unaligned(load_8(at + 8));
        }
        if N & 4 != 0 {
            to.add(N & !7).cast::<u32>().write_unaligned(load_4(at + (N & !7)));
        }
        if N & 2 != 0 {
            to.add(N & !3).cast::<u16>().write_unaligned(load_2(at + (N & !3)));
        }
        if N & 1 != 0 {
            to.add(N - 1).write(*((at + N - 1) as *const u8));
        }
    }
    Some(bytes)
}

/// Two words in one piece, so that they are stored as such.
#[inline(always)]
fn words_of(bytes: [u8; 16]) -> [u64; 2] {
    // SAFETY: both are sixteen bytes, of which every pattern is valid.
    unsafe { core::mem::transmute(bytes) }
}

/// Defines a load of an integer from a packet, wherever it is. The kernel allows that on every
/// machine that can do it; the compiler would load byte after byte.
macro_rules! load {
    ($name:ident, $integer:ty, $instruction:literal) => {
        /// # Safety
        /// All its bytes are within the packet, and the verifier has seen that of `at` or of a pointer
        /// that `at` is a constant away from.
        #[inline(always)]
        unsafe fn $name(at: usize) -> $integer {
            let value: u64;
            // SAFETY: the caller's.
            unsafe {
                asm!(
                    $instruction,
                    value = lateout(reg) value,
                    at = in(reg) at,
                    options(pure, readonly, nostack),
                );
            }
            value as $integer
        }
    };
}

load!(load_8, u64, "{value} = *(u64 *)({at} + 0)");
load!(load_4, u32, "{value} = *(u32 *)({at} + 0)");
load!(load_2, u16, "{value} = *(u16 *)({at} + 0)");

/// The same value, of which the compiler knows nothing.
///
/// It would otherwise compare one sum with the end of the packet and read through another one that
/// it added up in a different order. They are equal, but the verifier trusts only the pointer that
/// was compared. The instruction is there because without one the line table has two entries for
/// the next, which the kernel refuses.
#[inline(always)]
pub(crate) fn opaque(mut value: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe {
        asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack));
    }
    value
}

/// The length that a record says, read from the map each time.
#[inline(always)]
pub(crate) fn captured(record: &Record) -> usize {
    // SAFETY: a reference is valid to read.
    usize::from(unsafe { addr_of!(record.header.captured_bytes).read_volatile() })
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

    /// Kernels before 5.18 have no helper for this, so it goes sixteen bytes at a time. The last
    /// step overlaps the one before: the verifier then has no second loop to follow for the tail.
    #[inline(always)]
    fn copy(&self, offset: usize, record: &mut Record) -> bool {
        const STEP: usize = size_of::<[u64; 2]>();
        let (start, end) = (self.context.data(), self.context.data_end());
        let length = captured(record);
        // Pointers and not slices: a slice's range check would end in a panic, which a program
        // cannot have.
        let to: *mut u8 = record.packet.as_mut_ptr();
        let mut done = 0;
        while done + STEP <= SNAP_BYTES && done + STEP <= length {
            let Some(words) = read_direct::<STEP>(start, end, offset + done) else { return false };
            // SAFETY: the loop's condition keeps it within the packet of the record, which begins
            // at a multiple of eight.
            unsafe { to.add(done).cast::<[u64; 2]>().write(words_of(words)) };
            done += STEP;
        }
        // Read again: after the loop the verifier would otherwise follow each of the lengths that
        // it has worked out on its own. A value from a map is just some value.
        let last = captured(record).wrapping_sub(STEP);
        if last > SNAP_BYTES - STEP {
            return false;
        }
        let Some(words) = read_direct::<STEP>(start, end, offset + last) else { return false };
        // SAFETY: within the packet of the record, as just checked.
        unsafe { to.add(last).cast::<[u64; 2]>().write_unaligned(words_of(words)) };
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

    /// `N` bytes at `offset`, wherever they lie. None when the packet ends before.
    #[inline(always)]
    pub(crate) fn copied<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is this program's, and `bytes` is N bytes long. The helper checks
        // offset + N against the length of the packet.
        let failed = unsafe {
            bpf_skb_load_bytes(self.context.as_ptr(), offset as u32, bytes.as_mut_ptr().cast(), N as u32)
        };
        (failed == 0).then_some(bytes)
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
        self.copied(offset)
    }

    #[inline(always)]
    fn copy(&self, offset: usize, record: &mut Record) -> bool {
        // The helper takes no length of zero, and the verifier of 6.1 must see that on the register
        // itself: two comparisons with one outcome would be merged into one on a copy of it.
        let length = captured(record).max(16);
        if length > SNAP_BYTES {
            return false;
        }
        // SAFETY: as in `read`, and length is within the record's packet.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.context.as_ptr(),
                offset as u32,
                record.packet.as_mut_ptr().cast(),
                length as u32,
            )
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
