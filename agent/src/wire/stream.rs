//! One direction of a control connection: TCP segments in, control messages out.
//!
//! TCP may split a message anywhere, put several into one segment, repeat, overlap and reorder; we may
//! also miss segments that the receiver got, or come when the connection is already open. The
//! assembler orders bytes by their sequence numbers, cuts messages by their lengths, and finds the
//! next message again where it lost the thread: a length that fits its type, message type 1 and the
//! magic cookie are 12 bytes that do not occur by chance.

use super::pptp::{self, Error, HEADER_BYTES, Header, MAX_BYTES, Message};
use crate::seldom::{Seldom, seldom};

/// Segments that wait for an earlier one.
const MAX_PENDING: usize = 16;
/// Bytes in those segments.
const MAX_PENDING_BYTES: usize = 16 * 1024;
/// Sequence numbers further away than this belong to another connection.
const MAX_DISTANCE: u32 = 1 << 20;
/// A run of garbage is reported at its end, or when it has become this long; bytes.
pub const GARBAGE_REPORT_BYTES: u64 = 4096;

/// What the stream yields, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A control message.
    Message(Message),
    /// Bytes that are no control message: one report for a run of them.
    Garbage {
        /// Length of the run, or [`GARBAGE_REPORT_BYTES`] when it was still going on.
        bytes: u64,
        /// What was wrong where it began.
        why: Garbage,
    },
    /// Bytes that the peers exchanged and we did not see.
    Gap {
        /// How many.
        bytes: u64,
    },
    /// A new connection on the same ports, or sequence numbers that cannot belong to the old one.
    Restart,
}

/// Why bytes are no control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garbage {
    /// Nothing is wrong: we came in the middle of a message.
    #[error("joined in the middle of a message")]
    Joined,
    /// A gap swallowed the beginning or the end of a message.
    #[error("a gap cut the message")]
    AfterGap,
    /// No message begins in more bytes than the longest one has, after joining or a gap.
    #[error("no message in sight")]
    NoMessage,
    /// The connection ended inside a message.
    #[error("the connection ended inside a message")]
    Incomplete,
    /// Not a control message.
    #[error("not PPTP: {0}")]
    NotPptp(#[from] Error),
}

/// Orders and cuts one direction of a control connection, in bounded memory.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    /// Sequence number of the next byte; None before the first segment.
    next: Option<u32>,
    /// Between two messages of a connection without fault there is nothing.
    rest: Seldom<Rest>,
}

/// What is not yet a message, or never was one.
#[derive(Clone, Debug, Default)]
struct Rest {
    /// Segments after a gap, in no order.
    pending: Vec<Pending>,
    /// Bytes in order that are not yet a message.
    partial: Vec<u8>,
    /// The run of bytes without a message that we are in.
    garbage: Option<Run>,
    /// All bytes ever given up as garbage.
    garbage_bytes: u64,
}

seldom!(Rest);

impl Rest {
    const fn is_empty(&self) -> bool {
        self.pending.is_empty()
            && self.partial.is_empty()
            && self.garbage.is_none()
            && self.garbage_bytes == 0
    }
}

#[derive(Clone, Debug)]
struct Pending {
    sequence: u32,
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    bytes: u64,
    why: Garbage,
    reported: bool,
}

impl Assembler {
    /// An assembler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a segment; `sequence` is its number, `syn` its SYN bit. One without payload still says
    /// where the stream is.
    pub fn segment(&mut self, sequence: u32, syn: bool, payload: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        let sequence = if syn { sequence.wrapping_add(1) } else { sequence };
        if syn {
            self.start(sequence, &mut items);
        }
        if !syn || !payload.is_empty() {
            self.data(sequence, payload, &mut items);
        }
        self.let_go();
        items
    }

    /// Takes an acknowledgement of the other direction. What it covers, the receiver has: if we do not,
    /// we never will, and go on after the gap.
    pub fn acknowledged(&mut self, acknowledgement: u32) -> Vec<Item> {
        let mut items = Vec::new();
        while let (Some(next), Some(gap)) = (self.next, self.gap())
            && ahead(next.wrapping_add(gap), acknowledgement).is_some()
        {
            self.skip_gap(gap, &mut items);
        }
        self.let_go();
        items
    }

    /// The connection ended (FIN, RST, idle): gives up gaps and reports what is left.
    pub fn finish(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        while let Some(gap) = self.gap() {
            self.skip_gap(gap, &mut items);
        }
        self.drop_partial(Garbage::Incomplete);
        self.end_run(&mut items);
        self.let_go();
        items
    }

    /// Bytes held in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.rest.partial.len() + self.pending_bytes()
    }

    /// All bytes that were given up as garbage, reported or not.
    pub fn garbage_bytes(&self) -> u64 {
        self.rest.garbage_bytes
    }

    fn start(&mut self, first: u32, items: &mut Vec<Item>) {
        // A repeated SYN names the byte where the connection began, which may be long past.
        match self.next {
            None => self.next = Some(first),
            Some(next) if ahead(first, next).is_some() => {}
            Some(_) => {
                self.restart(items);
                self.next = Some(first);
            }
        }
    }

    fn restart(&mut self, items: &mut Vec<Item>) {
        self.drop_partial(Garbage::Incomplete);
        self.end_run(items);
        self.rest.pending.clear();
        items.push(Item::Restart);
    }

    fn data(&mut self, sequence: u32, payload: &[u8], items: &mut Vec<Item>) {
        let next = *self.next.get_or_insert_with(|| {
            self.rest.garbage = Some(Run::new(Garbage::Joined));
            sequence
        });
        if let Some(seen) = ahead(sequence, next) {
            // Old bytes: what we have first is what the receiver took.
            if let Some(new) = payload.get(seen as usize..) {
                self.in_order(new, items);
                self.drain(items);
            }
        } else if let Some(distance) = ahead(next, sequence) {
            // One further without payload: the sender's FIN took a number.
            if distance > 1 || !payload.is_empty() {
                self.hold(sequence, payload);
            }
            while self.rest.pending.len() > MAX_PENDING || self.pending_bytes() > MAX_PENDING_BYTES {
                let Some(gap) = self.gap() else { break };
                self.skip_gap(gap, items);
            }
        } else if !payload.is_empty() {
            self.restart(items);
            self.rest.garbage = Some(Run::new(Garbage::Joined));
            self.next = Some(sequence);
            self.in_order(payload, items);
        }
    }

    fn hold(&mut self, sequence: u32, payload: &[u8]) {
        let known = self.rest.pending.iter().any(|held| {
            ahead(held.sequence, sequence)
                .is_some_and(|offset| offset as usize + payload.len() <= held.bytes.len())
        });
        if !known {
            self.rest.pending.push(Pending { sequence, bytes: payload.into() });
        }
    }

    fn pending_bytes(&self) -> usize {
        self.rest.pending.iter().map(|held| held.bytes.len()).sum()
    }

    /// Bytes that lack before the first pending segment; None without one.
    fn gap(&self) -> Option<u32> {
        let next = self.next?;
        self.rest.pending.iter().filter_map(|held| ahead(next, held.sequence)).min()
    }

    fn skip_gap(&mut self, gap: u32, items: &mut Vec<Item>) {
        self.drop_partial(Garbage::AfterGap);
        self.end_run(items);
        items.push(Item::Gap { bytes: u64::from(gap) });
        self.rest.garbage = Some(Run::new(Garbage::AfterGap));
        self.next = self.next.map(|next| next.wrapping_add(gap));
        self.drain(items);
    }

    /// Takes pending segments that are in order now.
    fn drain(&mut self, items: &mut Vec<Item>) {
        while let Some(next) = self.next {
            let ready = self.rest.pending.iter().position(|held| ahead(held.sequence, next).is_some());
            let Some(index) = ready else { break };
            let held = self.rest.pending.swap_remove(index);
            let seen = next.wrapping_sub(held.sequence) as usize;
            if let Some(new) = held.bytes.get(seen..) {
                self.in_order(new, items);
            }
        }
    }

    /// Takes the next bytes of the stream, a little at a time so that `partial` stays small.
    fn in_order(&mut self, bytes: &[u8], items: &mut Vec<Item>) {
        self.next = self.next.map(|next| next.wrapping_add(bytes.len() as u32));
        for chunk in bytes.chunks(MAX_BYTES) {
            self.rest.partial.extend_from_slice(chunk);
            self.cut(items);
        }
    }

    /// Cuts messages off the front of `partial` until it lacks bytes.
    fn cut(&mut self, items: &mut Vec<Item>) {
        let mut done = 0;
        while let Some(rest) = self.rest.partial.get(done..).filter(|rest| !rest.is_empty()) {
            match Message::decode(rest) {
                Ok(message) => {
                    done += message.message_type().length().unwrap_or(HEADER_BYTES);
                    self.end_run(items);
                    items.push(Item::Message(message));
                }
                Err(Error::Short { .. }) => break,
                Err(error) => {
                    let skip = skip(rest);
                    self.discard(skip, Garbage::NotPptp(error), items);
                    done += skip;
                }
            }
        }
        self.rest.partial.drain(..done);
        if self.rest.partial.is_empty() {
            self.rest.partial = Vec::new();
        }
    }

    /// Gives back the room of what is no longer there: control connections are silent for most of their lives.
    fn let_go(&mut self) {
        if self.rest.is_empty() {
            self.rest = Seldom::default();
        }
    }

    fn discard(&mut self, bytes: usize, why: Garbage, items: &mut Vec<Item>) {
        self.rest.garbage_bytes += bytes as u64;
        let run = self.rest.garbage.get_or_insert(Run::new(why));
        run.bytes += bytes as u64;
        if run.bytes >= GARBAGE_REPORT_BYTES && !run.reported {
            run.reported = true;
            items.push(run.report());
        }
    }

    fn drop_partial(&mut self, why: Garbage) {
        let bytes = self.rest.partial.len() as u64;
        if bytes > 0 {
            self.rest.garbage_bytes += bytes;
            self.rest.garbage.get_or_insert(Run::new(why)).bytes += bytes;
            self.rest.partial.clear();
        }
    }

    fn end_run(&mut self, items: &mut Vec<Item>) {
        if let Some(run) = self.rest.filled().and_then(|rest| rest.garbage.take())
            && run.bytes > 0
            && !run.reported
        {
            items.push(run.report());
        }
    }
}

impl Run {
    const fn new(why: Garbage) -> Self {
        Self { bytes: 0, why, reported: false }
    }

    fn report(&self) -> Item {
        let why = match self.why {
            Garbage::Joined | Garbage::AfterGap if self.bytes >= MAX_BYTES as u64 => Garbage::NoMessage,
            why => why,
        };
        Item::Garbage { bytes: self.bytes.min(GARBAGE_REPORT_BYTES), why }
    }
}

/// How far `to` is ahead of `from`, serial arithmetic; None when it is behind or too far away.
fn ahead(from: u32, to: u32) -> Option<u32> {
    Some(to.wrapping_sub(from)).filter(|distance| *distance < MAX_DISTANCE)
}

/// Bytes to skip at the front of garbage: up to the next place where a header may begin.
fn skip(rest: &[u8]) -> usize {
    (1..rest.len()).find(|start| rest.get(*start..).is_some_and(may_begin_message)).unwrap_or(rest.len())
}

/// Whether bytes begin with a header, as far as they go.
fn may_begin_message(bytes: &[u8]) -> bool {
    const FIXED: [u8; 6] = {
        let class = pptp::CONTROL_MESSAGE.to_be_bytes();
        let magic = pptp::MAGIC_COOKIE.to_be_bytes();
        [class[0], class[1], magic[0], magic[1], magic[2], magic[3]]
    };
    if bytes.len() >= HEADER_BYTES {
        return Header::decode(bytes).is_ok();
    }
    bytes.iter().skip(2).zip(FIXED).all(|(byte, fixed)| *byte == fixed)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
