//! What really happened on the server's uplink: calls, and what each direction carried.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::capture::Frame;
use crate::control::{Message, Messages};
use crate::gre;
use crate::model::{Books, Model};
use crate::packet::{self, Ip, Tcp};
use crate::payload::{Acks, Payloads};
use crate::stream::Stream;
use crate::time::Nanos;

const PPTP_PORT: u16 = 1723;
const GRE: u8 = 47;

/// The part of the capture in which packets are counted: while the agent ran. Calls are read from the
/// whole capture.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// First instant that counts.
    pub from: Nanos,
    /// Last instant that counts.
    pub to: Nanos,
}

impl Window {
    /// The whole capture.
    pub const ALL: Self = Self { from: Nanos::MIN, to: Nanos::MAX };

    fn contains(&self, at: Nanos) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// One direction of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Direction {
    /// GRE packets; a fragmented one counts once.
    pub packets: u64,
    /// Bytes of these packets as IPv4 total length, every fragment included.
    pub bytes: u64,
    /// Packets with an acknowledgement and no sequence number.
    pub ack_only: u64,
    /// IPv4 fragments.
    pub fragments: u64,
    /// PPP negotiation frames.
    pub negotiation: u64,
    /// Sequence accounting.
    #[serde(flatten)]
    pub books: Books,
    /// What they carry.
    #[serde(flatten)]
    pub payloads: Payloads,
    /// How they were acknowledged.
    pub acks: Acks,
}

impl Direction {
    /// Packets that carry user traffic: neither negotiation nor bare acknowledgement.
    pub const fn data(&self) -> u64 {
        self.packets.saturating_sub(self.ack_only).saturating_sub(self.negotiation)
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Who sent the Outgoing-Call-Request.
    pub client: Ipv4Addr,
    /// Who was asked.
    pub server: Ipv4Addr,
    /// Call id in the request.
    pub client_call_id: u16,
    /// Call id in the reply; absent when the call was refused or never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_call_id: Option<u16>,
    /// Time of the request.
    pub started: Nanos,
    /// Whether a packet of the call fell into the window: otherwise nobody could know of it.
    pub in_window: bool,
    /// From client to server.
    pub from_client: Direction,
    /// From server to client.
    pub from_server: Direction,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub struct Truth {
    /// Calls in the order of their requests.
    pub calls: Vec<Call>,
    /// TCP segments from or to port 1723 inside the window.
    pub control_segments: u64,
    /// PPP negotiation frames inside the window.
    pub negotiation_frames: u64,
    /// GRE packets inside the window that carry payload and belong to no call of the capture.
    pub stray_packets: u64,
    /// Fragments of GRE packets inside the window that came before the first fragment of their packet,
    /// or without one: whose they are cannot be told when they pass.
    pub unmatched_fragments: u64,
    /// Frames in the whole capture.
    pub frames: u64,
}

/// A direction of GRE: sender, receiver, call id of the receiver.
type Flow = (Ipv4Addr, Ipv4Addr, u16);

/// Computes the truth from the frames of a capture, in the order of their capture.
pub fn from_frames(frames: &[Frame<'_>], window: Window) -> Truth {
    let mut reader = Reader { window, ..Reader::default() };
    for frame in frames {
        reader.truth.frames += 1;
        let Some(ip) = packet::ipv4(frame.data) else { continue };
        if ip.protocol == GRE {
            reader.gre(frame.at, &ip);
        } else if let Some(segment) = packet::tcp(&ip) {
            reader.tcp(frame.at, &ip, &segment);
        }
    }
    reader.finish()
}

/// A packet of a call, as far as acknowledgements go.
struct Passage {
    at: Nanos,
    side: usize,
    sequence: Option<u32>,
    acknowledgement: Option<u32>,
}

struct Side {
    call: usize,
    from_client: bool,
    direction: Direction,
    model: Model,
}

#[derive(Default)]
struct Connection {
    stream: Stream,
    messages: Messages,
}

struct Reader {
    window: Window,
    truth: Truth,
    sides: Vec<Side>,
    passages: Vec<Passage>,
    /// The newest call of each flow: ids are used again after a server has restarted.
    flows: HashMap<Flow, usize>,
    fragments: HashMap<(Ipv4Addr, Ipv4Addr, u16), usize>,
    connections: HashMap<(Ipv4Addr, u16, Ipv4Addr, u16), Connection>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            window: Window::ALL,
            truth: Truth::default(),
            sides: Vec::new(),
            passages: Vec::new(),
            flows: HashMap::new(),
            fragments: HashMap::new(),
            connections: HashMap::new(),
        }
    }
}

impl Reader {
    fn tcp(&mut self, at: Nanos, ip: &Ip<'_>, segment: &Tcp<'_>) {
        let to_server = segment.destination_port == PPTP_PORT;
        if !to_server && segment.source_port != PPTP_PORT {
            return;
        }
        if self.window.contains(at) {
            self.truth.control_segments += 1;
        }
        let key = (ip.source, segment.source_port, ip.destination, segment.destination_port);
        let connection = self.connections.entry(key).or_default();
        if segment.syn {
            *connection = Connection::default();
            connection.stream.start(segment.sequence);
        }
        let bytes = connection.stream.push(segment.sequence, segment.payload);
        for message in connection.messages.push(&bytes) {
            match message {
                Message::OutgoingCallRequest { call_id } if to_server => {
                    self.request(at, ip.source, ip.destination, call_id);
                }
                Message::OutgoingCallReply { call_id, peer_call_id, result: 1 } if !to_server => {
                    self.reply(at, ip.destination, ip.source, peer_call_id, call_id);
                }
                _ => {}
            }
        }
    }

    fn request(&mut self, at: Nanos, client: Ipv4Addr, server: Ipv4Addr, client_call_id: u16) {
        let call = self.truth.calls.len();
        self.truth.calls.push(Call {
            client,
            server,
            client_call_id,
            server_call_id: None,
            started: at,
            in_window: self.window.contains(at),
            from_client: Direction::default(),
            from_server: Direction::default(),
        });
        self.open((server, client, client_call_id), call, false);
    }

    fn reply(
        &mut self,
        at: Nanos,
        client: Ipv4Addr,
        server: Ipv4Addr,
        client_call_id: u16,
        server_call_id: u16,
    ) {
        let asked = self.truth.calls.iter().rposition(|call| {
            (call.client, call.server, call.client_call_id) == (client, server, client_call_id)
                && call.server_call_id.is_none()
        });
        let Some(call) = asked else { return };
        self.truth.calls[call].server_call_id = Some(server_call_id);
        self.truth.calls[call].in_window |= self.window.contains(at);
        self.open((client, server, server_call_id), call, true);
    }

    fn open(&mut self, flow: Flow, call: usize, from_client: bool) {
        self.flows.insert(flow, self.sides.len());
        self.sides.push(Side { call, from_client, direction: Direction::default(), model: Model::default() });
    }

    fn gre(&mut self, at: Nanos, ip: &Ip<'_>) {
        if !self.window.contains(at) {
            return;
        }
        let fragments = (ip.source, ip.destination, ip.identification);
        if ip.fragment_offset != 0 {
            match self.fragments.get(&fragments).map(|&side| &mut self.sides[side]) {
                Some(side) => {
                    side.direction.fragments += 1;
                    side.direction.bytes += u64::from(ip.total_length);
                }
                None => self.truth.unmatched_fragments += 1,
            }
            return;
        }
        let Some(packet) = gre::parse(ip.payload) else { return };
        if packet.is_negotiation() {
            self.truth.negotiation_frames += 1;
        }
        let Some(&index) = self.flows.get(&(ip.source, ip.destination, packet.call_id)) else {
            self.truth.stray_packets += 1;
            return;
        };
        let side = &mut self.sides[index];
        self.truth.calls[side.call].in_window = true;
        side.direction.packets += 1;
        side.direction.bytes += u64::from(ip.total_length);
        side.direction.negotiation += u64::from(packet.is_negotiation());
        if ip.is_fragment() {
            side.direction.fragments += 1;
            self.fragments.insert(fragments, index);
        }
        match packet.sequence {
            Some(number) => {
                side.model.record(number);
                side.direction.payloads.record(&packet);
            }
            None if packet.acknowledgement.is_some() => side.direction.ack_only += 1,
            None => {}
        }
        self.passages.push(Passage {
            at,
            side: index,
            sequence: packet.sequence,
            acknowledgement: packet.acknowledgement,
        });
    }

    /// How the packets were acknowledged. In the order of their times, which for what comes in are those
    /// of its arrival: the capturing program sees it when it is handled, perhaps behind packets that were
    /// sent meanwhile.
    fn acknowledge(&mut self) {
        self.passages.sort_by_key(|passage| passage.at);
        let mut seen = vec![false; self.sides.len()];
        for passage in &self.passages {
            seen[passage.side] = true;
            // The sides of a call are made together; the newest other one is it.
            let Side { call, from_client, .. } = self.sides[passage.side];
            let other =
                self.sides.iter().rposition(|other| other.call == call && other.from_client != from_client);
            if let Some(number) = passage.sequence {
                let can_sample = other.is_some_and(|other| seen[other]);
                self.sides[passage.side].direction.acks.sent(passage.at, number, can_sample);
            }
            if let (Some(other), Some(number)) = (other, passage.acknowledgement) {
                self.sides[other].direction.acks.acknowledged(passage.at, number);
            }
        }
    }

    fn finish(mut self) -> Truth {
        self.acknowledge();
        for side in &self.sides {
            let call = &mut self.truth.calls[side.call];
            let direction = if side.from_client { &mut call.from_client } else { &mut call.from_server };
            *direction = Direction { books: side.model.books(), ..side.direction };
        }
        self.truth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture;
    use crate::frames::{self, pcap};

    const CLIENT: [u8; 4] = [192, 0, 2, 10];
    const SERVER: [u8; 4] = [203, 0, 113, 2];

    fn control(client: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to, ports) =
            if client { (CLIENT, SERVER, (4000, 1723)) } else { (SERVER, CLIENT, (1723, 4000)) };
        let segment = frames::tcp(ports.0, ports.1, sequence, flags, payload);
        frames::ethernet(&frames::ip(from, to, 6, &segment))
    }

    fn call(client_call_id: u16, server_call_id: u16) -> Vec<Vec<u8>> {
        let mut reply = frames::control(8, server_call_id, client_call_id, 32);
        reply[16] = 1;
        vec![
            control(true, 0, 0x02, b""),
            control(false, 0, 0x12, b""),
            control(true, 1, 0x10, b""),
            control(true, 1, 0x18, &frames::control(7, client_call_id, 0, 168)),
            control(false, 1, 0x18, &reply),
        ]
    }

    fn gre(client: bool, call_id: u16, sequence: Option<u32>, ack: Option<u32>, frame: &[u8]) -> Vec<u8> {
        let (from, to) = if client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        frames::ethernet(&frames::ip(from, to, 47, &frames::gre(call_id, sequence, ack, frame)))
    }

    fn truth(all: Vec<Vec<u8>>, window: Window) -> Truth {
        let timed: Vec<_> = all.into_iter().enumerate().map(|(at, frame)| (at as i64, frame)).collect();
        let file = pcap(&timed);
        from_frames(&capture::read(&file).unwrap(), window)
    }

    #[test]
    fn a_call_with_both_directions() {
        let mut all = call(77, 5);
        all.push(gre(true, 5, Some(0), None, b"\xff\x03\xc0\x21...."));
        all.push(gre(false, 77, Some(0), Some(0), b"\xff\x03\xc0\x21...."));
        all.push(gre(true, 5, Some(2), None, b"\xfd...."));
        all.push(gre(true, 5, None, Some(0), b""));
        let truth = truth(all, Window::ALL);
        assert_eq!(truth.control_segments, 5);
        assert_eq!(truth.negotiation_frames, 2);
        let [call] = &truth.calls[..] else { panic!("{truth:?}") };
        assert_eq!((call.client_call_id, call.server_call_id), (77, Some(5)));
        assert_eq!(call.client, Ipv4Addr::from(CLIENT));
        assert_eq!(
            call.from_client,
            Direction {
                packets: 3,
                bytes: 20 + 12 + 8 + 20 + 12 + 5 + 20 + 12,
                ack_only: 1,
                negotiation: 1,
                fragments: 0,
                books: Books { received: 2, missing: 1, ..Books::default() },
                payloads: call.from_client.payloads,
                acks: call.from_client.acks,
            }
        );
        assert_eq!(call.from_server.packets, 1);
    }

    #[test]
    fn only_the_window_counts_but_calls_come_from_the_whole_capture() {
        let mut all = call(77, 5);
        let start = all.len() as i64;
        all.push(gre(true, 5, Some(0), None, b"\xc0\x21"));
        all.push(gre(true, 5, Some(1), None, b"\xc0\x21"));
        let truth = truth(all, Window { from: start + 1, to: Nanos::MAX });
        assert_eq!(truth.control_segments, 0);
        assert_eq!(truth.negotiation_frames, 1);
        assert_eq!(truth.calls[0].from_client.packets, 1);
        assert!(truth.calls[0].in_window);
    }

    #[test]
    fn an_unanswered_and_a_refused_call_have_no_server_id() {
        let mut all = call(77, 5);
        all.truncate(4);
        assert_eq!(truth(all.clone(), Window::ALL).calls[0].server_call_id, None);
        let mut refused = frames::control(8, 5, 77, 32);
        refused[16] = 2;
        all.push(control(false, 1, 0x18, &refused));
        assert_eq!(truth(all, Window::ALL).calls[0].server_call_id, None);
    }

    #[test]
    fn fragments_count_once_as_packet_and_wholly_as_bytes() {
        let mut all = call(77, 5);
        let packet = frames::gre(5, Some(0), None, &[0xfd; 100]);
        for (offset, more, part) in [(0, true, &packet[..56]), (56, false, &packet[56..])] {
            all.push(frames::ethernet(&frames::fragment(CLIENT, SERVER, 47, 9, offset, more, part)));
        }
        let direction = truth(all, Window::ALL).calls[0].from_client;
        assert_eq!((direction.packets, direction.fragments), (1, 2));
        assert_eq!(direction.bytes, 40 + 112);
    }

    #[test]
    fn a_fragment_before_its_first_one_is_nobodys() {
        let mut all = call(77, 5);
        let packet = frames::gre(5, Some(0), None, &[0xfd; 100]);
        for (offset, more, part) in [(56, false, &packet[56..]), (0, true, &packet[..56])] {
            all.push(frames::ethernet(&frames::fragment(CLIENT, SERVER, 47, 9, offset, more, part)));
        }
        let truth = truth(all, Window::ALL);
        let direction = truth.calls[0].from_client;
        assert_eq!((direction.packets, direction.fragments, direction.bytes), (1, 1, 20 + 56));
        assert_eq!(truth.unmatched_fragments, 1);
    }

    #[test]
    fn ids_used_again_belong_to_the_new_call() {
        let mut all = call(77, 5);
        all.push(gre(true, 5, Some(0), None, b"\xfd"));
        all.extend(call(77, 5));
        all.push(gre(true, 5, Some(0), None, b"\xfd"));
        let truth = truth(all, Window::ALL);
        assert_eq!(truth.calls.len(), 2);
        assert!(truth.calls.iter().all(|call| call.from_client.books.received == 1), "{truth:?}");
    }

    #[test]
    fn packets_of_no_call_are_strays() {
        let mut all = call(77, 5);
        all.push(gre(true, 6, Some(0), None, b"\xfd"));
        assert_eq!(truth(all, Window::ALL).stray_packets, 1);
    }
}
