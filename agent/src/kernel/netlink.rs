//! Route netlink (rtnetlink(7)): requests, dumps and the walk over messages and attributes.
//!
//! Only attributes that the agent knows are looked at. What a newer kernel adds is passed over.

use std::io;

use libc::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Bytes of a message's header: length, type, flags, sequence, port (struct nlmsghdr).
const HEADER: usize = 16;

/// Bytes of an attribute's header: length, type (struct nlattr).
const ATTRIBUTE_HEADER: usize = 4;

/// Attribute flags that are not part of the type (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const TYPE_MASK: u16 = 0x3fff;

/// How often a dump is begun again when the tables changed under it.
const DUMP_ATTEMPTS: usize = 8;

/// One message.
pub(super) struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

/// A socket for requests. Every request waits for its answer.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
}

impl Requests {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Collects the messages of a dump with `each`, from the start again when the kernel says that
    /// the tables changed meanwhile.
    pub(super) fn dump<T: Default>(
        &mut self,
        kind: u16,
        body: &[u8],
        each: impl Fn(&mut T, &Message<'_>),
    ) -> io::Result<T> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut collected = T::default();
            let mut interrupted = false;
            self.send(kind, NLM_F_DUMP as u16, body)?;
            self.answers(|message| {
                interrupted |= message.flags & NLM_F_DUMP_INTR as u16 != 0;
                each(&mut collected, message);
            })?;
            if !interrupted {
                return Ok(collected);
            }
        }
        Err(io::Error::other("the tables of the kernel change too fast to be read"))
    }

    /// Makes a change and waits until it is done.
    pub(super) fn change(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, flags | NLM_F_ACK as u16, body)?;
        self.answers(|_| {})
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST as u16).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        self.socket.send(&message, 0)?;
        Ok(())
    }

    fn answers(&self, mut each: impl FnMut(&Message<'_>)) -> io::Result<()> {
        loop {
            let (buffer, from) = self.socket.recv_from_full()?;
            // Other processes can send to this socket; only the kernel has port 0.
            if from.port_number() != 0 {
                continue;
            }
            for message in messages(&buffer).filter(|message| message.sequence == self.sequence) {
                match i32::from(message.kind) {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return error(message.payload),
                    _ => each(&message),
                }
            }
        }
    }
}

/// The error of an answer: zero is an acknowledgement (struct nlmsgerr).
fn error(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(negative) => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The messages of a datagram. Stops at the first that lies about its length.
pub(super) fn messages(mut buffer: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = buffer.first_chunk()?;
        let length = u32_at(header, 0)? as usize;
        let message = Message {
            kind: u16_at(header, 4)?,
            flags: u16_at(header, 6)?,
            sequence: u32_at(header, 8)?,
            payload: buffer.get(HEADER..length)?,
        };
        buffer = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Type and value of each attribute. Stops at the first that lies about its length.
pub(super) fn attributes(mut buffer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(buffer, 0)?);
        let kind = u16_at(buffer, 2)? & TYPE_MASK;
        let value = buffer.get(ATTRIBUTE_HEADER..length)?;
        buffer = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Appends an attribute to a request.
pub(super) fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) -> io::Result<()> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).map_err(io::Error::other)?;
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
    Ok(())
}

/// An integer in host byte order.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// An integer in host byte order.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A string that may end with a zero byte.
pub(super) fn string(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn walks_attributes_and_stops_at_a_lie() {
        let mut body = Vec::new();
        push_attribute(&mut body, 3, b"eth0\0").unwrap();
        push_attribute(&mut body, 4, &1500u32.to_ne_bytes()).unwrap();
        let found: Vec<_> = attributes(&body).collect();
        assert_eq!(found, [(3, &b"eth0\0"[..]), (4, &1500u32.to_ne_bytes()[..])]);
        // The second one now claims a byte more than there is.
        body[12] += 1;
        assert_eq!(attributes(&body).count(), 1);
        // A length below the header's own may not loop for ever.
        assert_eq!(attributes(&[3, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                attributes(message.payload).for_each(drop);
            }
            attributes(&bytes).for_each(drop);
        }
    }
}
