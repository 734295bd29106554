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
    // SAFETY: start to end is the packet's linear part, readable while the program runs, and
    // at..at + N lies in it. Arrays of bytes have no alignment.
    Some(unsafe { *(at as *const [u8; N]) })
}

/// As `read_direct`, sixteen bytes in two loads, wherever they are. The kernel allows that on every
/// machine that can do it; the compiler would load byte after byte.
#[inline(always)]
fn read_words(at: usize, end: usize) -> Option<[u64; 2]> {
    let at = opaque(at);
    if at + 16 > end {
        return None;
    }
    let (first, second): (u64, u64);
    // SAFETY: as in `read_direct`.
    unsafe {
        asm!(
            "{first} = *(u64 *)({at} + 0)",
            "{second} = *(u64 *)({at} + 8)",
            first = out(reg) first,
            second = lateout(reg) second,
            at = in(reg) at,
            options(pure, readonly, nostack),
        );
    }
    Some([first, second])
}

/// The same value, of which the compiler knows nothing.
///
/// It would otherwise compare one sum with the end of the packet and read through another one that
/// it added up in a different order. They are equal, but the verifier trusts only the pointer that
/// was compared. The instruction is there because without one the line table has two entries for
/// the next, which the kernel refuses.
#[inline(always)]
fn opaque(mut value: usize) -> usize {
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
            let Some(words) = read_words(start + offset + done, end) else { return false };
            // SAFETY: the loop's condition keeps it within the packet of the record, which begins
            // at a multiple of eight.
            unsafe { to.add(done).cast::<[u64; 2]>().write(words) };
            done += STEP;
        }
        // Read again: after the loop the verifier would otherwise follow each of the lengths that
        // it has worked out on its own. A value from a map is just some value.
        let last = captured(record).wrapping_sub(STEP);
        if last > SNAP_BYTES - STEP {
            return false;
        }
        let Some(words) = read_words(start + offset + last, end) else { return false };
        // SAFETY: within the packet of the record, as just checked.
        unsafe { to.add(last).cast::<[u64; 2]>().write_unaligned(words) };
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
