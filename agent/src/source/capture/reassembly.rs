//! Fragments of control segments. PPTP ends do not send any, but tunnels on the way may make some.
//!
//! GRE is not put together: counting needs its first fragment only, as in the kernel.

use std::collections::VecDeque;

use bytes::Bytes;
use pptpscope_common::FragmentKey;

use super::ip::Datagram;

/// Datagrams that wait for more, the oldest go first.
const MAX_WAITING: usize = 32;
/// Fragments of one datagram.
const MAX_FRAGMENTS: usize = 64;
/// Payload of one datagram that is believed: control segments are short.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Debug)]
struct Waiting {
    key: FragmentKey,
    /// IPv4 header of the first fragment.
    header: Vec<u8>,
    parts: Vec<(usize, Vec<u8>)>,
    /// Length of the whole payload, once the last fragment is there.
    length: Option<usize>,
}

/// Fragments that wait for their datagram to be complete.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    waiting: VecDeque<Waiting>,
}

impl Reassembly {
    /// Takes a fragment; gives the datagram when it is complete: header, then payload.
    pub(super) fn take(&mut self, fragment: &Datagram<'_>) -> Option<Bytes> {
        let key = fragment.fragment_key();
        let payload = fragment.bytes.get(fragment.header..)?;
        let end = fragment.fragment_at() + payload.len();
        // A fragment that the capture cut cannot be put together.
        if payload.len() != fragment.payload() || end > MAX_BYTES {
            return None;
        }
        let index = match self.waiting.iter().position(|waiting| waiting.key == key) {
            Some(index) => index,
            None => {
                if self.waiting.len() == MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(Waiting { key, header: Vec::new(), parts: Vec::new(), length: None });
                self.waiting.len() - 1
            }
        };
        let waiting = self.waiting.get_mut(index)?;
        if waiting.parts.len() < MAX_FRAGMENTS {
            waiting.parts.push((fragment.fragment_at(), payload.to_vec()));
        }
        if !fragment.is_later_fragment() {
            waiting.header = fragment.bytes.get(..fragment.header)?.to_vec();
        }
        if !fragment.has_more_fragments() {
            waiting.length = Some(end);
        }
        let whole = waiting.whole()?;
        self.waiting.remove(index);
        Some(whole)
    }
}

impl Waiting {
    fn whole(&self) -> Option<Bytes> {
        let length = self.length?;
        if self.header.is_empty() {
            return None;
        }
        let mut parts: Vec<_> = self.parts.iter().collect();
        parts.sort_by_key(|(at, _)| *at);
        let mut payload: Vec<u8> = Vec::with_capacity(length);
        for (at, part) in parts {
            // Overlaps: what came first stays.
            let known = payload.len().checked_sub(*at)?;
            payload.extend(part.get(known..).unwrap_or_default());
        }
        if payload.len() != length {
            return None;
        }
        let mut whole = self.header.clone();
        // Total length, and no longer a fragment.
        let total = u16::try_from(whole.len() + length).ok()?.to_be_bytes();
        whole.get_mut(2..4)?.copy_from_slice(&total);
        whole.get_mut(6..8)?.copy_from_slice(&[0, 0]);
        whole.extend(payload);
        Some(whole.into())
    }
}
