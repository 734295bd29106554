//! What the kernel programs do with each packet, done with the packets of a capture: count GRE data,
//! hand on what is rare and meaningful, and keep the books about everything else.

use std::net::SocketAddrV4;

use bytes::Bytes;
use pptpscope_common::{Direction, Refusal};

use super::copies::{self, Census, Copies, Detector};
use super::file::Frame;
use super::flows::{Entry, Flows};
use super::ip::{self, Datagram};
use super::reassembly::Reassembly;
use super::{gre, link, roles};
use crate::event::Party;
use crate::event::agent::{Account, Refused};
use crate::observation::{Clock, FlowKey, Observation, Origin, PppFrame, What};
use crate::source::packet;
use crate::time::Timestamp;
use crate::wire::tcp::PPTP_PORT;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Sums over the packets of all files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Packets read.
    pub packets: u64,
    /// Captured bytes of them.
    pub bytes: u64,
    /// Packets that are neither TCP nor GRE in IPv4, or of a link type that is not known.
    pub other: u64,
    /// Packets that the capture holds more than once.
    pub copies: u64,
    /// TCP segments of port 1723.
    pub control: Account,
    /// Negotiation frames.
    pub ppp: Account,
    /// GRE packets that were not booked on a call.
    pub refused: Refused,
    /// Segments and frames that are not what they claim to be.
    pub undecodable: u64,
}

/// Takes packets, keeps the flow map.
#[derive(Debug)]
pub struct Counter {
    flows: Flows,
    copies: Detector,
    reassembly: Reassembly,
    books: Books,
}

impl Counter {
    /// Holds `max_flows` directions of calls at most.
    pub fn new(max_flows: usize, copies: Copies) -> Self {
        Self {
            flows: Flows::new(max_flows),
            copies: Detector::new(copies),
            reassembly: Reassembly::default(),
            books: Books::default(),
        }
    }

    /// Sums up to now.
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// Begins to look at packets from the beginning of file number `file`, before they are taken.
    pub(super) fn census(&mut self, file: usize) -> LookAhead<'_> {
        LookAhead { file, census: Census::default(), detector: &mut self.copies }
    }

    /// Takes a packet of file number `file`; gives an observation when it tells more than a number.
    #[inline]
    pub fn packet(&mut self, file: usize, frame: &Frame<'_>) -> Option<Observation> {
        self.books.packets += 1;
        self.books.bytes += frame.bytes.len() as u64;
        let Some((datagram, link)) = datagram(file, frame) else {
            self.books.other += 1;
            return None;
        };
        if self.copies.is_copy(frame.at, &datagram, link) {
            self.books.copies += 1;
            return None;
        }
        if datagram.protocol == ip::GRE {
            self.gre(frame.at, &datagram)
        } else {
            self.tcp(frame.at, &datagram)
        }
    }

    #[inline]
    fn gre(&mut self, at: Timestamp, datagram: &Datagram<'_>) -> Option<Observation> {
        match self.book(at, datagram) {
            Ok(Some(key)) => self.negotiation(at, key, datagram),
            Ok(None) => None,
            Err((why, negotiation)) => {
                count(&mut self.books.refused, why);
                // Also when the flow map is full: who cannot connect should still be seen trying.
                negotiation.and_then(|key| self.negotiation(at, key, datagram))
            }
        }
    }

    /// Books a GRE packet; the key when it is a negotiation frame.
    #[inline]
    fn book(
        &mut self,
        at: Timestamp,
        datagram: &Datagram<'_>,
    ) -> Result<Option<FlowKey>, (Refusal, Option<FlowKey>)> {
        if datagram.is_short {
            return Err((Refusal::Short, None));
        }
        let bytes = datagram.total as u64;
        if datagram.is_later_fragment() {
            let booked = self.flows.book_fragment(datagram.fragment_key(), bytes);
            return booked.map(|()| None).map_err(|why| (why, None));
        }
        let packet = gre::read(datagram).map_err(|why| (why, None))?;
        let key = FlowKey {
            source: datagram.source.into(),
            destination: datagram.destination.into(),
            call_id: packet.call_id,
        };
        let fragment = datagram.is_fragment().then(|| datagram.fragment_key());
        let booked = self.flows.book(key, at.unix_ns(), bytes, fragment, &packet);
        let negotiation = packet.negotiation.then_some(key);
        booked.map(|()| negotiation).map_err(|why| (why, negotiation))
    }

    #[cold]
    fn negotiation(&mut self, at: Timestamp, key: FlowKey, datagram: &Datagram<'_>) -> Option<Observation> {
        self.books.ppp.seen += 1;
        self.books.ppp.submitted += 1;
        let what = self.decode(Bytes::copy_from_slice(datagram.bytes))?;
        if let What::Ppp(PppFrame { frame: Ok(frame), .. }) = &what
            && let Some(sender) = roles::sender_of(frame)
        {
            self.flows.set_sender(&key, sender);
        }
        let sender = self.flows.sender(&key);
        Some(Observation {
            at,
            clock: Clock::Capture,
            origin: Origin::Capture { sender: Some(sender) },
            what,
        })
    }

    #[cold]
    fn tcp(&mut self, at: Timestamp, datagram: &Datagram<'_>) -> Option<Observation> {
        if datagram.is_fragment() {
            let whole = self.reassembly.take(datagram)?;
            let whole = Datagram::read(&whole, whole.len())?;
            return self.segment(at, &whole);
        }
        self.segment(at, datagram)
    }

    fn segment(&mut self, at: Timestamp, datagram: &Datagram<'_>) -> Option<Observation> {
        let [source_high, source_low, port_high, port_low] = datagram.at::<4>(0)?;
        let source = u16::from_be_bytes([source_high, source_low]);
        let destination = u16::from_be_bytes([port_high, port_low]);
        if datagram.payload() < 4 || (source != PPTP_PORT && destination != PPTP_PORT) {
            return None;
        }
        self.books.control.seen += 1;
        if is_bare_acknowledgement(datagram) {
            self.books.control.suppressed += 1;
            return None;
        }
        self.books.control.submitted += 1;
        let what = self.decode(Bytes::copy_from_slice(datagram.bytes))?;
        if let What::Segment(segment) = &what {
            self.learn_roles(segment.source, segment.destination);
        }
        Some(Observation { at, clock: Clock::Capture, origin: Origin::Capture { sender: None }, what })
    }

    /// The end with port 1723 is the server.
    fn learn_roles(&mut self, source: SocketAddrV4, destination: SocketAddrV4) {
        let sender = if destination.port() == PPTP_PORT { Party::Client } else { Party::Server };
        if source.port() != destination.port() {
            let key = FlowKey { source: *source.ip(), destination: *destination.ip(), call_id: 0 };
            self.flows.set_sender(&key, sender);
        }
    }

    fn decode(&mut self, bytes: Bytes) -> Option<What> {
        let what = packet::decode(bytes).ok();
        self.books.undecodable += u64::from(what.is_none());
        what
    }

    /// The counters of a flow at `at`.
    pub fn flow(&self, key: &FlowKey, at: Timestamp) -> Option<Observation> {
        self.flows.get(key).map(|entry| observation(entry, at))
    }

    /// The counters of all flows at `at`, in the order in which they were met.
    pub fn flows(&self, at: Timestamp) -> impl Iterator<Item = Observation> {
        self.flows.all().iter().map(move |entry| observation(entry, at))
    }

    /// Forgets a flow.
    pub fn remove(&mut self, key: &FlowKey) {
        self.flows.remove(key);
    }

    /// How many flows there are.
    pub fn flows_used(&self) -> usize {
        self.flows.all().len()
    }
}

/// A look at the packets of a file before they are taken.
pub(super) struct LookAhead<'a> {
    file: usize,
    census: Census,
    detector: &'a mut Detector,
}

impl LookAhead<'_> {
    pub(super) fn see(&mut self, frame: &Frame<'_>) {
        if let Some((datagram, link)) = datagram(self.file, frame) {
            self.census.see(frame.at, &datagram, link);
        }
    }

    pub(super) fn finish(self) {
        self.detector.learn(&self.census);
    }
}

/// The direction as the VPN host would see it: what a client sends comes in.
fn observation(entry: &Entry, at: Timestamp) -> Observation {
    let direction = match entry.sender {
        Party::Client => Direction::Ingress,
        Party::Server => Direction::Egress,
    };
    let what = What::Flow(entry.key, direction, entry.flow);
    Observation { at, clock: Clock::Capture, origin: Origin::Counters, what }
}

/// The datagram in a frame, and a name for the link that it was seen on.
#[inline]
fn datagram<'a>(file: usize, frame: &Frame<'a>) -> Option<(Datagram<'a>, u64)> {
    let located = link::locate(frame.link_type, frame.bytes)?;
    let datagram =
        Datagram::read(frame.bytes.get(located.ip_at..)?, frame.wire_bytes.saturating_sub(located.ip_at))?;
    let (from, length) = located.addresses;
    let addresses = frame.bytes.get(from..from + length).unwrap_or_default();
    Some((datagram, copies::link(file, frame.interface, addresses)))
}

/// Whether the segment has no payload and changes nothing about the connection.
fn is_bare_acknowledgement(datagram: &Datagram<'_>) -> bool {
    if datagram.payload() < 20 {
        return false;
    }
    let Some([data_offset, flags]) = datagram.at::<2>(12) else { return false };
    flags & (SYN | FIN | RST) == 0 && datagram.payload() == usize::from(data_offset >> 4) * 4
}

fn count(refused: &mut Refused, why: Refusal) {
    let counter = match why {
        Refusal::Short => &mut refused.short,
        Refusal::Version0 => &mut refused.version_0,
        Refusal::VersionUnknown => &mut refused.version_unknown,
        Refusal::NotPptp => &mut refused.not_pptp,
        Refusal::FlowsFull => &mut refused.flows_full,
        Refusal::FragmentUnmatched => &mut refused.fragment_unmatched,
    };
    *counter += 1;
}
