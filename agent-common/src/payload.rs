//! What the GRE packets of one direction carry: lengths, and the kind of each PPP frame.
//!
//! The kernel programs and the reader of captures run this very code.

/// Buckets of [`Lengths`].
pub const LENGTH_BUCKETS: usize = 8;

/// Payload lengths at which the buckets of [`Lengths`] begin, bytes, but for the first, which begins
/// at 0. The last ones are where path MTUs lie.
pub const LENGTH_STEPS: [u16; LENGTH_BUCKETS - 1] = [64, 128, 256, 512, 1024, 1280, 1400];

/// Packets by the payload length in their GRE header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Lengths {
    /// See [`LENGTH_STEPS`].
    pub counts: [u64; LENGTH_BUCKETS],
}

impl Lengths {
    /// Books a packet with payload.
    #[inline(always)]
    pub fn record(&mut self, length: u16) {
        let length = length as u64;
        let mut bucket = 0;
        let mut step = 0;
        while step < LENGTH_STEPS.len() {
            // The sign of the difference: no branch.
            bucket += (LENGTH_STEPS[step] as u64 - 1).wrapping_sub(length) >> 63;
            step += 1;
        }
        // The mask changes nothing; it shows the verifier that the index is within.
        if let Some(count) = self.counts.get_mut((bucket & (LENGTH_BUCKETS as u64 - 1)) as usize) {
            *count += 1;
        }
    }
}

/// Bytes of a frame that [`Content::of`] looks at.
pub const HEAD_BYTES: usize = 6;

/// What a PPP frame in GRE is, told by its first bytes (RFC 1661, section 6; RFC 1662, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its protocol is 0x8000 or above: LCP, authentication, network control protocols. Never
    /// encrypted, always reported.
    pub is_negotiation: bool,
    /// Its protocol is 0x00FD, and the header of MPPE follows in `mppe`.
    pub is_mppe: bool,
    /// IPv4 or IPv6 in clear (0x0021, 0x0057).
    pub is_cleartext: bool,
    /// The header of MPPE (RFC 3078, section 3.1); 0 without.
    pub mppe: u16,
}

impl Content {
    /// Nothing of interest.
    pub const NONE: Self = Self { is_negotiation: false, is_mppe: false, is_cleartext: false, mppe: 0 };

    /// Reads the head of a frame of `length` bytes; what is beyond `length` is ignored.
    ///
    /// The first byte of the protocol tells its length: after protocol field compression the only
    /// byte is odd and stands for 0x00XX; otherwise the first of two is even, and its top bit is that
    /// of the protocol.
    #[inline(always)]
    pub const fn of(head: [u8; HEAD_BYTES], length: usize) -> Self {
        // The HDLC address and control bytes, absent after their compression.
        if head[0] == 0xff && head[1] == 0x03 {
            Self::of_protocol(head[2], head[3], head[4], head[5], length.saturating_sub(2))
        } else {
            Self::of_protocol(head[0], head[1], head[2], head[3], length)
        }
    }

    #[inline(always)]
    const fn of_protocol(first: u8, second: u8, third: u8, fourth: u8, length: usize) -> Self {
        const COMPRESSED: u8 = 0xfd;
        const IPV4: u8 = 0x21;
        const IPV6: u8 = 0x57;
        let is_short = first & 1 == 1;
        let negotiation = first & 0x81 == 0x80 && length >= 2;
        let low = if is_short { first } else { second };
        let is_data = is_short && length >= 1 || first == 0 && length >= 2;
        let (high, rest, needed) = if is_short { (second, third, 3) } else { (third, fourth, 4) };
        let is_mppe = is_data && low == COMPRESSED && length >= needed;
        Self {
            is_negotiation: negotiation,
            is_mppe,
            is_cleartext: is_data && (low == IPV4 || low == IPV6),
            mppe: if is_mppe { (high as u16) << 8 | rest as u16 } else { 0 },
        }
    }
}

/// MPPE as it passes on the wire, one direction (RFC 3078, section 3). The counts are of frames of
/// protocol 0x00FD; with another compression than MPPE they mean nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(serde::Serialize, serde::Deserialize))]
pub struct Mppe {
    /// Frames with the header of MPPE.
    pub frames: u64,
    /// Of these, with the bit D clear: not encrypted.
    pub unencrypted: u64,
    /// Of these, with the bit A set: the key was initialised anew before it (in stateless mode:
    /// all).
    pub flushed: u64,
    /// Coherency counts that jumped ahead: frames are missing before them.
    pub gaps: u64,
    /// Counts that were jumped over.
    pub skipped: u64,
    /// Frames with a count that is behind the highest one, or the same.
    pub behind: u64,
    /// Frames at which the low byte of the count was 0xFF: there a stateful key changes.
    pub flags: u64,
    /// Coherency count of the first frame.
    pub first: u16,
    /// Highest count so far, modulo 4096.
    pub last: u16,
    /// Always zero.
    pub(crate) _pad: u32,
}

const _: () = assert!(size_of::<Mppe>() == 64);

impl Mppe {
    const FLUSHED: u16 = 0x8000;
    const ENCRYPTED: u16 = 0x1000;
    const COUNT: u16 = 0x0fff;

    /// Books a frame by its header.
    ///
    /// A count up to half the range ahead is a jump, as `mppe_decompress` of Linux has it; else it is
    /// an old frame.
    #[inline(always)]
    pub const fn record(&mut self, header: u16) {
        let count = header & Self::COUNT;
        // Branches, and not sums of conditions: what does not change is not written.
        if header & Self::ENCRYPTED == 0 {
            self.unencrypted += 1;
        }
        if header & Self::FLUSHED != 0 {
            self.flushed += 1;
        }
        if count & 0xff == 0xff {
            self.flags += 1;
        }
        if self.frames == 0 {
            self.first = count;
            self.last = count;
        } else {
            let ahead = count.wrapping_sub(self.last) & Self::COUNT;
            if ahead == 0 || ahead > Self::COUNT / 2 {
                self.behind += 1;
            } else {
                self.last = count;
                if ahead > 1 {
                    self.gaps += 1;
                    self.skipped += (ahead - 1) as u64;
                }
            }
        }
        self.frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_fall_into_their_buckets() {
        for (at, step) in LENGTH_STEPS.into_iter().enumerate() {
            let mut lengths = Lengths::default();
            lengths.record(step - 1);
            lengths.record(step);
            assert_eq!((lengths.counts[at], lengths.counts[at + 1]), (1, 1), "{step}");
        }
        let mut lengths = Lengths::default();
        lengths.record(0);
        lengths.record(u16::MAX);
        assert_eq!((lengths.counts[0], lengths.counts[LENGTH_BUCKETS - 1]), (1, 1));
    }

    /// What the frame is, read the way of a parser that has all the bytes.
    fn plainly(frame: &[u8]) -> Content {
        let rest = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
        let (protocol, info) = match rest {
            [low, info @ ..] if low & 1 == 1 => (u16::from(*low), info),
            [high, low, info @ ..] => (u16::from_be_bytes([*high, *low]), info),
            _ => (0, &[][..]),
        };
        // A short protocol that looks compressed but has its top bit set is none of the control
        // protocols: those are even in the first byte.
        let is_negotiation = protocol >= 0x8000;
        let mppe = match info {
            [high, low, ..] if protocol == 0xfd => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        };
        Content {
            is_negotiation,
            is_mppe: mppe.is_some(),
            is_cleartext: matches!(protocol, 0x21 | 0x57),
            mppe: mppe.unwrap_or(0),
        }
    }

    #[test]
    fn content_is_that_of_a_plain_parser() {
        let tails: [&[u8]; 7] = [
            &[],
            &[0xfd],
            &[0x90, 0x01],
            &[0xfd, 0x90, 0x01],
            &[0x21, 0x45],
            &[0x57, 0x60],
            &[3, 0xc0, 0x21, 9],
        ];
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                for tail in tails {
                    for prefix in [&[][..], &[0xff, 0x03]] {
                        let all = [prefix, &[first, second], tail].concat();
                        for length in 0..=all.len() {
                            let frame = &all[..length];
                            let mut head = [0xaa; HEAD_BYTES];
                            let known = length.min(HEAD_BYTES);
                            head[..known].copy_from_slice(&frame[..known]);
                            assert_eq!(Content::of(head, length), plainly(frame), "{frame:02x?}");
                        }
                    }
                }
            }
        }
    }

    fn mppe(headers: &[u16]) -> Mppe {
        let mut mppe = Mppe::default();
        headers.iter().for_each(|header| mppe.record(*header));
        mppe
    }

    #[test]
    fn coherency_counts() {
        let seen = mppe(&[0x9ffe, 0x9fff, 0x9000, 0x9003, 0x9001, 0x9003, 0x1004, 0x0005]);
        assert_eq!((seen.frames, seen.first, seen.last), (8, 0xffe, 5));
        assert_eq!((seen.gaps, seen.skipped, seen.behind), (1, 2, 2));
        assert_eq!((seen.flushed, seen.unencrypted, seen.flags), (6, 1, 1));
        // Half the range is the border between ahead and behind.
        assert_eq!(mppe(&[0x9000, 0x97ff]).skipped, 0x7fe);
        assert_eq!(mppe(&[0x9000, 0x9800]).behind, 1);
    }
}
