//! Files of packets: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), either
//! byte order, any resolution of time.
//!
//! A reader stands on one packet at a time and shows it in place. Nothing is copied, and a file may
//! be longer than the memory.

use std::io;
use std::path::Path;

use super::input::{Input, Position};
use super::ng::{self, Interface};
use crate::time::Timestamp;

/// Longest packet that is believed. libpcap's own limit is 256 KiB; USB captures have more.
const MAX_PACKET_BYTES: usize = 1 << 20;
/// Longest pcapng block that is believed.
const MAX_BLOCK_BYTES: usize = 16 << 20;

/// Bytes of the headers of pcap.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The record header of Kuznetzov's variant has an interface index, a protocol and a packet type.
const MODIFIED_RECORD_HEADER: usize = 24;

/// Why a file cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened.
    #[error("cannot open: {0}")]
    Open(#[source] io::Error),
    /// Reading failed.
    #[error("reading failed at byte {offset}: {source}")]
    Read {
        /// Where, decompressed.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Nothing is in it.
    #[error("the file is empty: did the capture start?")]
    Empty,
    /// It is something else.
    #[error("neither pcap nor pcapng: begins with {0}")]
    Unknown(String),
    /// It contradicts itself.
    #[error("damaged at byte {offset}, after packet {packets}: {what}; the rest is not read")]
    Damaged {
        /// Where, decompressed.
        offset: u64,
        /// Packets read before.
        packets: u64,
        /// What is wrong.
        what: String,
    },
    /// It ends inside a packet: usual when the capturing program was killed.
    #[error("ends inside packet {packet}, at byte {offset}")]
    Cut {
        /// Number of the packet, from 1.
        packet: u64,
        /// Where the packet begins, decompressed.
        offset: u64,
    },
}

impl Error {
    /// Whether everything but a last piece was read.
    pub const fn is_harmless(&self) -> bool {
        matches!(self, Self::Cut { .. })
    }
}

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When.
    pub at: Timestamp,
    /// What its first bytes are (IANA, LINKTYPE).
    pub link_type: u16,
    /// Number of the interface inside the file.
    pub interface: u32,
    /// Its length on the wire, bytes.
    pub wire_bytes: usize,
    /// What was kept of it.
    pub bytes: &'a [u8],
}

/// Everything of the current packet but its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) at: Timestamp,
    pub(super) link_type: u16,
    pub(super) interface: u32,
    pub(super) wire_bytes: usize,
    /// Where its bytes are in the window of the input.
    pub(super) from: usize,
    pub(super) length: usize,
}

#[derive(Debug)]
enum Format {
    Pcap { order: Order, nanoseconds: bool, record_header: usize, link_type: u16 },
    Pcapng { order: Order, interfaces: Vec<Interface> },
}

/// Byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The word at `at`; zero where the bytes end, which callers have ruled out.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        if self == Self::Little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) }
    }

    /// As [`Self::u32`].
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let half = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied().unwrap_or_default();
        if self == Self::Little { u16::from_le_bytes(half) } else { u16::from_be_bytes(half) }
    }
}

/// A file and the packet that the reader stands on.
#[derive(Debug)]
pub struct CaptureFile {
    input: Input,
    format: Format,
    current: Option<Meta>,
    /// Bytes to leave behind before the next packet.
    passed: usize,
    packets: u64,
    /// For packets that have no time of their own.
    last: Timestamp,
}

impl CaptureFile {
    /// Opens a capture, or standard input for `-`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::new(Input::open(path).map_err(Error::Open)?)
    }

    /// Reads the header of a capture.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn new(mut input: Input) -> Result<Self, Error> {
        let head = input.fill(FILE_HEADER).map_err(|source| Error::Read { offset: 0, source })?;
        if head.is_empty() {
            return Err(Error::Empty);
        }
        let unknown = || {
            let shown: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            Error::Unknown(shown.join(" "))
        };
        let magic = *head.first_chunk::<4>().ok_or_else(unknown)?;
        let (format, passed) = match u32::from_le_bytes(magic) {
            // The type of a section header block reads the same in either order; what it says about
            // itself comes with the block.
            ng::SECTION_HEADER => (Format::Pcapng { order: Order::Little, interfaces: Vec::new() }, 0),
            _ => {
                let (order, nanoseconds, record_header) = match magic {
                    [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false, RECORD_HEADER),
                    [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false, RECORD_HEADER),
                    [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true, RECORD_HEADER),
                    [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true, RECORD_HEADER),
                    [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, false, MODIFIED_RECORD_HEADER),
                    [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, false, MODIFIED_RECORD_HEADER),
                    _ => return Err(unknown()),
                };
                if head.len() < FILE_HEADER {
                    return Err(Error::Cut { packet: 1, offset: 0 });
                }
                // The upper half says whether frames end with a check sequence.
                let link_type = (order.u32(head, 20) & 0xffff) as u16;
                (Format::Pcap { order, nanoseconds, record_header, link_type }, FILE_HEADER)
            }
        };
        Ok(Self { input, format, current: None, passed, packets: 0, last: Timestamp::default() })
    }

    /// Goes to the next packet; false at the end.
    ///
    /// # Errors
    ///
    /// When reading fails or the file is damaged or cut; the reader is at the end then.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, Error> {
        self.input.consume(self.passed);
        (self.passed, self.current) = (0, None);
        let found = match &self.format {
            Format::Pcap { .. } => self.next_record(),
            Format::Pcapng { .. } => self.next_block_with_packet(),
        };
        match found {
            Ok(Some(meta)) => {
                self.packets += 1;
                self.last = meta.at;
                self.current = Some(meta);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => {
                // Whoever asks again is at the end.
                self.input.consume(usize::MAX);
                Err(error)
            }
        }
    }

    /// The packet that the reader stands on; None before the first and after the last one.
    #[inline]
    pub fn frame(&self) -> Option<Frame<'_>> {
        let meta = self.current?;
        Some(Frame {
            at: meta.at,
            link_type: meta.link_type,
            interface: meta.interface,
            wire_bytes: meta.wire_bytes,
            bytes: self.input.available().get(meta.from..meta.from + meta.length)?,
        })
    }

    /// When the packet was captured that the reader stands on.
    #[inline]
    pub fn at(&self) -> Option<Timestamp> {
        self.current.map(|meta| meta.at)
    }

    /// Packets read so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// How far the file was read.
    pub fn position(&self) -> Position {
        self.input.position()
    }

    /// Size of the file, where it is known.
    pub const fn size(&self) -> Option<u64> {
        self.input.size()
    }

    /// Has `wanted` bytes at hand, of a packet or block that begins here. False at the end of the file.
    #[inline]
    fn need(&mut self, wanted: usize) -> Result<bool, Error> {
        let offset = self.input.offset();
        let cut = Error::Cut { packet: self.packets + 1, offset };
        match self.input.fill(wanted) {
            Ok(bytes) if bytes.len() >= wanted => Ok(true),
            Ok([]) => Ok(false),
            Ok(_) => Err(cut),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut),
            Err(source) => Err(Error::Read { offset, source }),
        }
    }

    fn damaged(&self, what: String) -> Error {
        Error::Damaged { offset: self.input.offset(), packets: self.packets, what }
    }

    #[inline]
    fn next_record(&mut self) -> Result<Option<Meta>, Error> {
        let Format::Pcap { order, nanoseconds, record_header, link_type } = self.format else {
            return Ok(None);
        };
        if !self.need(record_header)? {
            return Ok(None);
        }
        let header = self.input.available();
        let (seconds, fraction) = (order.u32(header, 0), order.u32(header, 4));
        let (length, wire_bytes) = (order.u32(header, 8) as usize, order.u32(header, 12) as usize);
        if length > MAX_PACKET_BYTES {
            return Err(self.damaged(format!("a packet of {length} bytes")));
        }
        self.need(record_header + length)?;
        self.passed = record_header + length;
        let unit = if nanoseconds { 1 } else { 1000 };
        let at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * unit;
        Ok(Some(Meta {
            at: Timestamp::from_unix_ns(at),
            link_type,
            interface: 0,
            wire_bytes: wire_bytes.max(length),
            from: record_header,
            length,
        }))
    }

    fn next_block_with_packet(&mut self) -> Result<Option<Meta>, Error> {
        loop {
            if !self.need(ng::BLOCK_HEADER)? {
                return Ok(None);
            }
            let is_section =
                Order::Little.u32(self.input.available(), 0) == ng::SECTION_HEADER && self.need(12)?;
            let header = self.input.available();
            let Format::Pcapng { order, interfaces } = &mut self.format else { return Ok(None) };
            if is_section {
                *order = match header.get(8..12) {
                    Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                    Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                    _ => return Err(self.damaged("a section header without byte order".into())),
                };
                interfaces.clear();
            }
            let order = *order;
            let length = order.u32(header, 4) as usize;
            if !(12..=MAX_BLOCK_BYTES).contains(&length) || !length.is_multiple_of(4) {
                return Err(self.damaged(format!("a block of {length} bytes")));
            }
            self.need(length)?;
            let block = self.input.available().get(..length).unwrap_or_default();
            if order.u32(block, length - 4) as usize != length {
                return Err(self.damaged("the two lengths of a block differ".into()));
            }
            let Format::Pcapng { interfaces, .. } = &mut self.format else { return Ok(None) };
            match ng::read(order, block, interfaces, self.last) {
                Ok(Some(meta)) => {
                    self.passed = length;
                    return Ok(Some(meta));
                }
                Ok(None) => self.input.consume(length),
                Err(what) => return Err(self.damaged(what.into())),
            }
        }
    }
}
