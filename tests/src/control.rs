//! PPTP control messages (RFC 2637, chapter 2), as far as calls are named in them.

const MAGIC_COOKIE: u32 = 0x1a2b_3c4d;

/// The messages that open a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Outgoing-Call-Request: the client names its call id (section 2.7).
    OutgoingCallRequest {
        /// Call id of the sender.
        call_id: u16,
    },
    /// Outgoing-Call-Reply (section 2.8).
    OutgoingCallReply {
        /// Call id of the sender.
        call_id: u16,
        /// Call id of the request that is answered.
        peer_call_id: u16,
        /// 1 when the call is connected.
        result: u8,
    },
    /// Any other message, by its control message type.
    Other(u16),
}

/// Cuts a byte stream into control messages.
#[derive(Debug, Default)]
pub struct Messages {
    buffer: Vec<u8>,
    broken: bool,
}

impl Messages {
    /// Adds bytes of the stream and returns the messages that are complete.
    ///
    /// After a wrong length or cookie nothing more is read: the stream has lost its framing.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        if self.broken {
            return messages;
        }
        self.buffer.extend(bytes);
        while let Some(header) = self.buffer.get(..10) {
            let length = usize::from(u16::from_be_bytes([header[0], header[1]]));
            let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            if length < 12 || cookie != MAGIC_COOKIE {
                self.broken = true;
                break;
            }
            if self.buffer.len() < length {
                break;
            }
            let rest = self.buffer.split_off(length);
            messages.push(message(&self.buffer));
            self.buffer = rest;
        }
        messages
    }
}

/// Reads one whole message of at least 12 bytes.
fn message(bytes: &[u8]) -> Message {
    let half = |at: usize| bytes.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    match half(8) {
        7 if bytes.len() >= 14 => Message::OutgoingCallRequest { call_id: half(12) },
        8 if bytes.len() >= 17 => {
            Message::OutgoingCallReply { call_id: half(12), peer_call_id: half(14), result: bytes[16] }
        }
        other => Message::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames;

    #[test]
    fn cuts_coalesced_messages_and_waits_for_split_ones() {
        let mut reply = frames::control(8, 5, 77, 32);
        reply[16] = 1;
        let bytes = [frames::control(7, 77, 0, 168), reply, frames::control(1, 0, 0, 156)].concat();
        let expected = [
            Message::OutgoingCallRequest { call_id: 77 },
            Message::OutgoingCallReply { call_id: 5, peer_call_id: 77, result: 1 },
            Message::Other(1),
        ];
        assert_eq!(Messages::default().push(&bytes), expected);
        let mut messages = Messages::default();
        let one_by_one: Vec<_> = bytes.iter().flat_map(|&byte| messages.push(&[byte])).collect();
        assert_eq!(one_by_one, expected);
    }

    #[test]
    fn stops_at_garbage() {
        let mut messages = Messages::default();
        assert_eq!(messages.push(b"GET / HTTP/1.1\r\n"), []);
        assert_eq!(messages.push(&frames::control(7, 77, 0, 168)), []);
        let mut too_short = frames::control(7, 77, 0, 168);
        too_short[..2].copy_from_slice(&[0, 3]);
        assert_eq!(Messages::default().push(&too_short), []);
    }
}
