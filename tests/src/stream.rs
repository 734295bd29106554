//! TCP reassembly of one direction: enough for a control connection in a whole capture.

use std::collections::BTreeMap;

/// Bytes that wait for a gap to be filled: far more than a control connection ever has in flight.
const MAX_WAITING: usize = 1 << 20;

/// One direction of a TCP connection.
#[derive(Debug, Default)]
pub struct Stream {
    next: Option<u32>,
    /// Segments beyond a gap, by their distance from `next` at the time of the SYN.
    waiting: BTreeMap<u64, Vec<u8>>,
    waiting_bytes: usize,
    /// Bytes delivered so far: the 64-bit position of `next`.
    position: u64,
}

impl Stream {
    /// Starts the stream: the first byte has the sequence number after the SYN's.
    pub fn start(&mut self, syn: u32) {
        *self = Self { next: Some(syn.wrapping_add(1)), ..Self::default() };
    }

    /// Adds a segment and returns the bytes that are now in order. Retransmitted bytes are dropped.
    ///
    /// A stream whose SYN was not captured starts at its first segment.
    pub fn push(&mut self, sequence: u32, payload: &[u8]) -> Vec<u8> {
        if payload.is_empty() {
            return Vec::new();
        }
        let next = *self.next.get_or_insert(sequence);
        let distance = i64::from(sequence.wrapping_sub(next).cast_signed());
        let start = self.position.cast_signed() + distance;
        let skip = usize::try_from(-start.min(0)).unwrap_or(0).min(payload.len());
        let start = start.max(0).cast_unsigned();
        let kept = &payload[skip..];
        if self.waiting_bytes + kept.len() <= MAX_WAITING
            && self.waiting.get(&start).is_none_or(|old| old.len() < kept.len())
        {
            self.waiting_bytes += kept.len();
            self.waiting.insert(start, kept.to_vec());
        }
        let mut ready = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let Some(behind) = self.position.checked_sub(*entry.key()) else { break };
            let segment = entry.remove();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(segment.len());
            let fresh = segment.get(usize::try_from(behind).unwrap_or(usize::MAX)..).unwrap_or(&[]);
            self.position += fresh.len() as u64;
            self.next = self.next.map(|next| next.wrapping_add(fresh.len() as u32));
            ready.extend(fresh);
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_drops_retransmissions() {
        let mut stream = Stream::default();
        stream.start(u32::MAX - 1);
        assert_eq!(stream.push(1, b"cd"), b"");
        assert_eq!(stream.push(u32::MAX, b"ab"), b"abcd");
        assert_eq!(stream.push(u32::MAX, b"ab"), b"");
        assert_eq!(stream.push(2, b"def"), b"ef");
        assert_eq!(stream.push(9, b"x"), b"");
        assert_eq!(stream.push(5, b"ghij"), b"ghijx");
    }

    #[test]
    fn overlapping_segments_wait_with_their_longest_form() {
        let mut stream = Stream::default();
        stream.start(0);
        assert_eq!(stream.push(3, b"c"), b"");
        assert_eq!(stream.push(3, b"cd"), b"");
        assert_eq!(stream.push(1, b"ab"), b"abcd");
    }

    #[test]
    fn a_stream_without_syn_starts_where_it_is_seen() {
        let mut stream = Stream::default();
        assert_eq!(stream.push(1000, b"ab"), b"ab");
        assert_eq!(stream.push(998, b"yz"), b"");
        assert_eq!(stream.push(1002, b"c"), b"c");
    }
}
