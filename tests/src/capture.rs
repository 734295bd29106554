//! Capture files as tcpdump writes them (pcap, draft-ietf-opsawg-pcap).

use crate::time::Nanos;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Shorter than the file header.
    #[error("the capture has {0} bytes, a pcap file header has 24: did tcpdump start?")]
    NoHeader(usize),
    /// The magic number is none of pcap's.
    #[error("the capture starts with {0:#010x}, which is no pcap file (pcapng is not read here)")]
    NotPcap(u32),
    /// Not Ethernet.
    #[error("the capture's link type is {0}; only Ethernet (1) is read")]
    LinkType(u32),
    /// The file ends inside a record.
    #[error("the capture ends inside record {record}: tcpdump did not finish writing")]
    Truncated {
        /// Number of the record, from 0.
        record: usize,
    },
}

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Nanos,
    /// What was kept of it, from the Ethernet header on.
    pub data: &'a [u8],
}

/// Reads every frame of a pcap file, either byte order, microseconds or nanoseconds.
///
/// # Errors
/// [`CaptureError`] when the file is no Ethernet pcap or ends inside a record.
pub fn read(file: &[u8]) -> Result<Vec<Frame<'_>>, CaptureError> {
    let header = file.get(..24).ok_or(CaptureError::NoHeader(file.len()))?;
    let magic = word(header, 0, false);
    let (swapped, unit) = match magic {
        0xa1b2_c3d4 => (false, 1000),
        0xa1b2_3c4d => (false, 1),
        0xd4c3_b2a1 => (true, 1000),
        0x4d3c_b2a1 => (true, 1),
        other => return Err(CaptureError::NotPcap(other)),
    };
    let link_type = word(header, 20, swapped) & 0x0fff_ffff;
    if link_type != 1 {
        return Err(CaptureError::LinkType(link_type));
    }
    let mut frames = Vec::new();
    let mut rest = &file[24..];
    while !rest.is_empty() {
        let truncated = CaptureError::Truncated { record: frames.len() };
        let Some((record, data)) = rest.split_at_checked(16) else { return Err(truncated) };
        let Some((data, after)) = data.split_at_checked(word(record, 8, swapped) as usize) else {
            return Err(truncated);
        };
        let (seconds, fraction) = (word(record, 0, swapped), word(record, 4, swapped));
        frames.push(Frame { at: Nanos::from(seconds) * 1_000_000_000 + Nanos::from(fraction) * unit, data });
        rest = after;
    }
    Ok(frames)
}

/// Little-endian word at `offset`, or big-endian when `swapped`. The caller has checked the length.
fn word(bytes: &[u8], offset: usize, swapped: bool) -> u32 {
    let four = [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]];
    if swapped { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::pcap;

    #[test]
    fn reads_frames_and_their_time() {
        let file = pcap(&[(5, vec![1, 2, 3]), (2_000_000_007, vec![])]);
        let frames = read(&file).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], Frame { at: 5, data: &[1, 2, 3] });
        assert_eq!(frames[1].at, 2_000_000_007);
    }

    #[test]
    fn reads_the_other_byte_order_and_microseconds() {
        let mut file = Vec::new();
        for value in [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 65535, 1, 7, 9, 1, 1] {
            file.extend(value.to_be_bytes());
        }
        file.push(0xaa);
        assert_eq!(read(&file).unwrap(), [Frame { at: 7_000_009_000, data: &[0xaa] }]);
    }

    #[test]
    fn refuses_foreign_and_broken_files() {
        assert!(matches!(read(b"short"), Err(CaptureError::NoHeader(5))));
        assert!(matches!(read(&[0x0a; 64]), Err(CaptureError::NotPcap(0x0a0a_0a0a))));
        let mut linux_sll = pcap(&[]);
        linux_sll[20] = 113;
        assert!(matches!(read(&linux_sll), Err(CaptureError::LinkType(113))));
        let file = pcap(&[(1, vec![0; 10]), (2, vec![0; 10])]);
        for cut in 1..26 {
            let error = read(&file[..file.len() - cut]).unwrap_err();
            assert!(matches!(error, CaptureError::Truncated { record: 1 }), "{cut}: {error}");
        }
    }
}
