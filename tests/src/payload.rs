//! What the payloads of one direction are, and how long the other one takes to acknowledge them: plain
//! arithmetic over the packets of a capture, as DESIGN chapter 4 and `docs/events.md` define it.

use serde::Serialize;

use crate::gre::Gre;
use crate::time::Nanos;

/// A sample that is not answered within this time is a timeout.
const TIMEOUT: Nanos = 3_000_000_000;

/// Payload lengths at which a new bucket begins.
const STEPS: [u16; 7] = [64, 128, 256, 512, 1024, 1280, 1400];

/// MPPE frames of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Mppe {
    /// Frames of PPP protocol 0x00fd.
    pub frames: u64,
    /// Without the encrypted bit.
    pub unencrypted: u64,
    /// With the flushed bit.
    pub flushed: u64,
    /// Jumps of the coherency count.
    pub gaps: u64,
    /// Counts that were jumped over.
    pub skipped: u64,
    /// Frames that are not ahead.
    pub behind: u64,
    /// Coherency count of the newest one, unwrapped.
    #[serde(skip)]
    newest: i64,
}

impl Mppe {
    fn record(&mut self, header: u16) {
        let count = i64::from(header % 4096);
        if header & 0x1000 == 0 {
            self.unencrypted += 1;
        }
        if header & 0x8000 != 0 {
            self.flushed += 1;
        }
        self.frames += 1;
        if self.frames == 1 {
            self.newest = count;
            return;
        }
        // The nearest count ahead, less than half the range away.
        let ahead = (count - self.newest).rem_euclid(4096);
        if (1..2048).contains(&ahead) {
            self.newest += ahead;
            if ahead > 1 {
                self.gaps += 1;
                self.skipped += ahead.cast_unsigned() - 1;
            }
        } else {
            self.behind += 1;
        }
    }
}

/// Payloads of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Payloads {
    /// Packets by payload length.
    pub lengths: [u64; 8],
    /// IP packets in clear.
    pub cleartext: u64,
    /// MPPE.
    pub mppe: Mppe,
}

impl Payloads {
    /// Books a packet with a sequence number.
    pub fn record(&mut self, packet: &Gre<'_>) {
        let bucket = STEPS.iter().filter(|step| packet.length >= **step).count();
        self.lengths[bucket] += 1;
        match packet.ppp_protocol() {
            Some(0x0021 | 0x0057) => self.cleartext += 1,
            Some(0x00fd) => {
                let frame = packet.payload.strip_prefix(&[0xff, 0x03]).unwrap_or(packet.payload);
                let header = frame.strip_prefix(&[0x00, 0xfd]).or_else(|| frame.strip_prefix(&[0xfd]));
                if let Some([high, low, ..]) = header {
                    self.mppe.record(u16::from_be_bytes([*high, *low]));
                }
            }
            _ => {}
        }
    }
}

/// Acknowledgements of what one direction sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Acks {
    /// Samples that were answered in time.
    pub samples: u64,
    /// Samples that were not.
    pub timeouts: u64,
    /// Sum of the times of those that were, nanoseconds.
    pub sum_ns: i64,
    #[serde(skip)]
    waiting: Option<(u32, Nanos)>,
    #[serde(skip)]
    newest: Option<u32>,
}

impl Acks {
    /// The direction sends `number`. `can_sample`: the other direction has been seen.
    pub fn sent(&mut self, at: Nanos, number: u32, can_sample: bool) {
        let is_new = self.newest.is_none_or(|newest| (1..1 << 31).contains(&number.wrapping_sub(newest)));
        if !is_new {
            return;
        }
        self.newest = Some(number);
        if !can_sample {
            return;
        }
        match self.waiting {
            Some((_, since)) if at - since <= TIMEOUT => return,
            Some(_) => self.timeouts += 1,
            None => {}
        }
        self.waiting = Some((number, at));
    }

    /// The other direction acknowledges `number`.
    pub fn acknowledged(&mut self, at: Nanos, number: u32) {
        if let Some((waiting, since)) = self.waiting
            && number.wrapping_sub(waiting) < 1 << 31
        {
            self.waiting = None;
            if at - since <= TIMEOUT {
                self.samples += 1;
                self.sum_ns += at - since;
            } else {
                self.timeouts += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frames, gre};

    #[test]
    fn frames_by_kind_and_length() {
        let mut payloads = Payloads::default();
        for (frame, extra) in [
            (&b"\xff\x03\x00\xfd\x90\x00"[..], 0),
            (b"\xfd\x90\x01", 100),
            (b"\x00\xfd\x10\x05", 1300),
            (b"\xfd\x80\x05", 1400),
            (b"\xff\x03\x00\x21E", 0),
            (b"\x57`", 0),
            (b"\xc0\x21\x01", 0),
        ] {
            let payload = [frame, &vec![0; extra]].concat();
            payloads.record(&gre::parse(&frames::gre(1, Some(1), None, &payload)).unwrap());
        }
        assert_eq!((payloads.lengths, payloads.cleartext), ([4, 1, 0, 0, 0, 0, 1, 1], 2));
        let mppe = payloads.mppe;
        assert_eq!((mppe.frames, mppe.unencrypted, mppe.flushed), (4, 1, 3));
        assert_eq!((mppe.gaps, mppe.skipped, mppe.behind), (1, 3, 1));
    }

    #[test]
    fn one_sample_at_a_time() {
        let mut acks = Acks::default();
        acks.sent(0, 1, false);
        acks.acknowledged(1, 1);
        acks.sent(10, 2, true);
        acks.sent(20, 3, true);
        acks.acknowledged(30, 1);
        acks.acknowledged(50, 3);
        acks.acknowledged(60, 3);
        acks.sent(70, 3, true);
        assert_eq!((acks.samples, acks.sum_ns, acks.timeouts), (1, 40, 0));
        acks.sent(100, 4, true);
        acks.sent(101 + TIMEOUT, 5, true);
        acks.acknowledged(102 + 2 * TIMEOUT, 5);
        assert_eq!((acks.samples, acks.timeouts), (1, 2));
    }
}
