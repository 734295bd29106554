//! TCP headers (RFC 9293).

use bytes::{Buf as _, Bytes};

use super::{payload::Payload, read::Reader};

/// Where PPTP servers listen (RFC 2637 §3).
pub const PPTP_PORT: u16 = 1723;

/// Length of a header without options, bytes.
const HEADER_BYTES: usize = 20;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Number of the first byte of the payload; of the SYN, where there is one.
    pub sequence: u32,
    /// Next byte that the sender expects, valid with [`Flags::ACK`].
    pub acknowledgement: u32,
    /// Control bits.
    pub flags: Flags,
    /// Receive window, not scaled, bytes.
    pub window: u16,
    /// Maximum segment size (option 2), sent with a SYN, bytes.
    pub maximum_segment: Option<u16>,
    /// What was captured of the payload.
    pub payload: Payload,
}

flags! {
    /// Control bits of a TCP segment.
    Flags: u8 {
        /// The sender has finished.
        FIN = 0x01 "fin",
        /// Opens a connection.
        SYN = 0x02 "syn",
        /// The connection is refused or aborted.
        RST = 0x04 "rst",
        /// Hand the data to the application now.
        PSH = 0x08 "psh",
        /// The acknowledgement is valid.
        ACK = 0x10 "ack",
        /// The urgent pointer is valid.
        URG = 0x20 "urg",
        /// ECN echo (RFC 3168).
        ECE = 0x40 "ece",
        /// Congestion window reduced (RFC 3168).
        CWR = 0x80 "cwr",
    }
}

/// Why bytes are not a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short for the header.
    #[error("TCP header cut: {0} bytes")]
    Short(usize),
    /// The data offset is below 20 bytes.
    #[error("TCP header length {0} bytes, the least is 20")]
    BadDataOffset(u8),
}

impl Segment {
    /// Decodes a segment that begins with its TCP header: the payload of an unfragmented IP packet.
    ///
    /// # Errors
    ///
    /// When the header is cut or its length is impossible.
    pub fn decode(bytes: Bytes) -> Result<Self, Error> {
        let short = Error::Short(bytes.len());
        let (mut segment, header_bytes) = Self::fields(&bytes).ok_or(short)?;
        if usize::from(header_bytes) < HEADER_BYTES {
            return Err(Error::BadDataOffset(header_bytes));
        }
        let options = bytes.get(HEADER_BYTES..usize::from(header_bytes)).ok_or(short)?;
        segment.maximum_segment = maximum_segment(options);
        let mut rest = bytes;
        rest.advance(usize::from(header_bytes));
        segment.payload = Payload::from(rest);
        Ok(segment)
    }

    fn fields(bytes: &[u8]) -> Option<(Self, u8)> {
        let mut reader = Reader::new(bytes);
        let segment = Self {
            source_port: reader.u16()?,
            destination_port: reader.u16()?,
            sequence: reader.u32()?,
            acknowledgement: reader.u32()?,
            flags: Flags::default(),
            window: 0,
            maximum_segment: None,
            payload: Payload::default(),
        };
        let [offset, flags] = reader.array()?;
        let window = reader.u16()?;
        reader.take(4)?;
        Some((Self { flags: Flags(flags), window, ..segment }, (offset >> 4) * 4))
    }
}

/// Finds the maximum segment size among the options; None too when they are garbled.
fn maximum_segment(options: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(options);
    loop {
        match reader.u8()? {
            0 => return None,
            1 => {}
            kind => {
                let length = usize::from(reader.u8()?).checked_sub(2)?;
                let mut value = Reader::new(reader.take(length)?);
                if kind == 2 {
                    return value.u16().filter(|_| value.is_empty());
                }
            }
        }
    }
}
