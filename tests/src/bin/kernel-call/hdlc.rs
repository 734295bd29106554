//! Frames on an asynchronous line (RFC 1662).

/// FLAG and ESCAPE of RFC 1662, section 4.
const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;

/// The frame with address and control field, checksum, escapes and flags. When it is not `good`, its
/// checksum is wrong.
pub(crate) fn encode(frame: &[u8], good: bool) -> Vec<u8> {
    let mut whole = vec![0xff, 0x03];
    whole.extend_from_slice(frame);
    let checksum = fcs(&whole) ^ if good { 0 } else { 0x5555 };
    whole.extend_from_slice(&checksum.to_le_bytes());
    let mut line = vec![FLAG];
    for byte in whole {
        // All control characters: the receiver's map is not known here.
        if byte < 0x20 || byte == FLAG || byte == ESCAPE {
            line.extend_from_slice(&[ESCAPE, byte ^ 0x20]);
        } else {
            line.push(byte);
        }
    }
    line.push(FLAG);
    line
}

/// The 16-bit frame check sequence of RFC 1662, appendix C.
fn fcs(bytes: &[u8]) -> u16 {
    let mut fcs = 0xffff_u16;
    for byte in bytes {
        fcs ^= u16::from(*byte);
        for _ in 0..8 {
            fcs = if fcs & 1 == 1 { (fcs >> 1) ^ 0x8408 } else { fcs >> 1 };
        }
    }
    !fcs
}

#[cfg(test)]
mod tests {
    use super::{encode, fcs};

    #[test]
    fn the_check_sequence_is_the_standard_one() {
        // CRC-16/X-25 of the digits 1 to 9.
        assert_eq!(fcs(b"123456789"), 0x906e);
    }

    #[test]
    fn what_is_special_is_escaped() {
        let line = encode(&[0xc0, 0x21, 0x7e, 0x01], true);
        assert_eq!(line[..8], [0x7e, 0xff, 0x7d, 0x23, 0xc0, 0x21, 0x7d, 0x5e]);
        assert_eq!(line[8..10], [0x7d, 0x21]);
        assert_ne!(encode(&[0xc0, 0x21], true), encode(&[0xc0, 0x21], false));
    }
}
