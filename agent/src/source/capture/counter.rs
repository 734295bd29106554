//! What the kernel programs do with each packet, done with the packets of a capture: count GRE data,
//! hand on what is rare and meaningful, and keep the books about everything else.

use std::net::SocketAddrV4;

use bytes::Bytes;
use pptpscope_common::{Direction, Refusal};

use super::copies::{self, Census, Copies, Detector};
use super::file::Frame;
use super::flows::Flows;
use super::ip::{self, Datagram};
use super::reassembly::Reassembly;
use super::table::Entry;
use super::{gre, link, roles};
use crate::event::Party;
use crate::event::agent::{Account, Refused};
use crate::observation::{Clock, FlowKey, Observation, Origin, PppFrame, What};
use crate::source::packet;
use crate::source::radius::{self, Inspector};
use crate::time::Timestamp;
use crate::wire::pptp::Message;
use crate::wire::tcp::PPTP_PORT;

/// Bytes of an Outgoing-Call-Reply (RFC 2637, section 2.8).
const CALL_REPLY_BYTES: usize = 32;

/// Sums over the packets of all files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Packets read.
    pub packets: u64,
    /// Captured bytes of them.
    pub bytes: u64,
    /// Packets that are neither TCP, GRE nor ICMP errors about them in IPv4, or of a link type that is
    /// not known.
    pub other: u64,
    /// Packets that the capture holds more than once.
    pub copies: u64,
    /// TCP segments of port 1723.
    pub control: Account,
    /// Negotiation frames.
    pub ppp: Account,
    /// ICMP errors about calls and control connections.
    pub icmp: Account,
    /// RADIUS packets.
    pub radius: Account,
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
    radius: Inspector,
    books: Books,
}

impl Counter {
    /// Holds `max_flows` directions of calls at most.
    pub fn new(max_flows: usize, copies: Copies) -> Self {
        Self {
            flows: Flows::new(max_flows),
            copies: Detector::new(copies),
            reassembly: Reassembly::default(),
            radius: Inspector::default(),
            books: Books::default(),
        }
    }

    /// Looks for RADIUS on these ports, with these secrets.
    #[must_use]
    pub fn with_radius(mut self, settings: radius::Settings) -> Self {
        self.radius = Inspector::new(settings);
        self
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
        let about_call = (datagram.protocol == ip::ICMP).then(|| icmp(&datagram));
        let is_other = about_call.as_ref().is_some_and(Option::is_none);
        if is_other || datagram.protocol == ip::UDP && !self.may_be_radius(&datagram) {
            self.books.other += 1;
            return None;
        }
        if self.copies.is_copy(frame.at, &datagram, link) {
            self.books.copies += 1;
            return None;
        }
        if let Some(what) = about_call.flatten() {
            self.books.icmp.seen += 1;
            self.books.icmp.submitted += 1;
            let origin = Origin::Capture { sender: None };
            return Some(Observation { at: frame.at, clock: Clock::Capture, origin, what });
        }
        if datagram.protocol == ip::GRE {
            self.gre(frame.at, &datagram)
        } else if datagram.protocol == ip::UDP {
            self.udp(frame.at, &datagram)
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
        let negotiation = packet.content.is_negotiation.then_some(key);
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

    /// Whether a datagram is from or to a RADIUS server, as far as it tells.
    fn may_be_radius(&self, datagram: &Datagram<'_>) -> bool {
        datagram.is_later_fragment()
            || datagram.at::<4>(0).is_some_and(|[source_high, source_low, port_high, port_low]| {
                self.radius.is_server_port(u16::from_be_bytes([source_high, source_low]))
                    || self.radius.is_server_port(u16::from_be_bytes([port_high, port_low]))
            })
    }

    #[cold]
    fn udp(&mut self, at: Timestamp, datagram: &Datagram<'_>) -> Option<Observation> {
        let bytes = if datagram.is_fragment() {
            self.reassembly.take(datagram)?
        } else {
            Bytes::copy_from_slice(datagram.bytes)
        };
        let inspected = self.radius.inspect(bytes);
        if matches!(inspected, Err(radius::Error::Ports(..))) {
            return None;
        }
        self.books.radius.seen += 1;
        self.books.radius.submitted += 1;
        match inspected {
            Ok(radius) => Some(Observation {
                at,
                clock: Clock::Capture,
                origin: Origin::Capture { sender: None },
                what: What::Radius(Box::new(radius)),
            }),
            Err(_) => {
                self.books.undecodable += 1;
                None
            }
        }
    }

    fn segment(&mut self, at: Timestamp, datagram: &Datagram<'_>) -> Option<Observation> {
        let [source_high, source_low, port_high, port_low] = datagram.at::<4>(0)?;
        let source = u16::from_be_bytes([source_high, source_low]);
        let destination = u16::from_be_bytes([port_high, port_low]);
        if datagram.payload() < 4 || (source != PPTP_PORT && destination != PPTP_PORT) {
            return None;
        }
        self.books.control.seen += 1;
        self.books.control.submitted += 1;
        if source == PPTP_PORT {
            self.learn_call(datagram);
        }
        let what = self.decode(Bytes::copy_from_slice(datagram.bytes))?;
        if let What::Segment(segment) = &what {
            self.learn_roles(segment.source, segment.destination);
        }
        Some(Observation { at, clock: Clock::Capture, origin: Origin::Capture { sender: None }, what })
    }

    /// Takes the two call ids from an Outgoing-Call-Reply that accepts, where the kernel programs do.
    fn learn_call(&mut self, datagram: &Datagram<'_>) {
        let Some([data_offset]) = datagram.at::<1>(12) else { return };
        let header = usize::from(data_offset >> 4) * 4;
        if datagram.payload() < header + CALL_REPLY_BYTES {
            return;
        }
        let Some(bytes) = datagram.at::<CALL_REPLY_BYTES>(header) else { return };
        if let Ok(Message::OutgoingCallReply(reply)) = Message::decode(&bytes)
            && reply.result.number() == 1
        {
            let (server, client) = (datagram.source.into(), datagram.destination.into());
            let from_server = FlowKey { source: server, destination: client, call_id: reply.peer_call_id };
            let from_client = FlowKey { source: client, destination: server, call_id: reply.call_id };
            self.flows.pair(from_server, from_client);
        }
    }

    /// Two flows are the directions of one call.
    pub fn pair(&mut self, one: FlowKey, other: FlowKey) {
        self.flows.pair(one, other);
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
        self.flows.get(key).map(|entry| observation(&entry, at))
    }

    /// The counters of all flows at `at`, in the order in which they were met.
    pub fn flows(&self, at: Timestamp) -> impl Iterator<Item = Observation> {
        self.flows.iter().map(move |entry| observation(&entry, at))
    }

    /// Forgets a flow.
    pub fn remove(&mut self, key: &FlowKey) {
        self.flows.remove(key);
    }

    /// How many flows there are.
    pub fn flows_used(&self) -> usize {
        self.flows.len()
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

/// An ICMP error about a call or a control connection.
#[cold]
fn icmp(datagram: &Datagram<'_>) -> Option<What> {
    packet::decode(Bytes::copy_from_slice(datagram.bytes)).ok()
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
