//! A short language for calls: each line is an observation, 10 ms after the one before.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use pptpscope_common::Sequence;

use super::super::{Config, Correlator};
use crate::event::{Body, Event, Party};
use crate::observation::{
    Clock, Direction, Flow, FlowKey, Observation, Origin, PppFrame, PppInterface, Segment, What,
};
use crate::time::Timestamp;
use crate::wire::ppp::cp::Body::{ConfigureAck, ConfigureRequest};
use crate::wire::ppp::{Frame, ccp, chap, ipcp, lcp};
use crate::wire::pptp::Message;
use crate::wire::pptp::codes::*;
use crate::wire::pptp::message::*;
use crate::wire::tcp::Flags;

pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(super) const CLIENT_TUNNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub(super) const SERVER_TUNNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const STEP_NS: u64 = 10_000_000;

/// A call between two ends, and the correlator that watches it.
pub(super) struct Script {
    pub(super) correlator: Correlator,
    pub(super) events: Vec<Event>,
    pub(super) now: Timestamp,
    pub(super) port: u16,
    pub(super) client_call_id: u16,
    pub(super) server_call_id: u16,
    next: [u32; 2],
    gre_next: [u32; 2],
}

impl Script {
    pub(super) fn new() -> Self {
        Self::with(Config::for_host("vpn1"))
    }

    pub(super) fn with(config: Config) -> Self {
        Self {
            correlator: Correlator::new(config),
            events: Vec::new(),
            now: Timestamp::from_unix_ns(1_700_000_000_000_000_000),
            port: 40_001,
            client_call_id: 11,
            server_call_id: 22,
            next: [1000, 2000],
            gre_next: [0, 0],
        }
    }

    /// Feeds an observation, 10 ms after the last one.
    pub(super) fn observe(&mut self, origin: Origin, what: What) {
        self.now = Timestamp::from_unix_ns(self.now.unix_ns() + STEP_NS);
        let observation = Observation { at: self.now, clock: Clock::Kernel, origin, what };
        self.correlator.observe(&observation, &mut self.events);
    }

    pub(super) fn wait_ms(&mut self, ms: u64) {
        self.now = Timestamp::from_unix_ns(self.now.unix_ns() + ms * 1_000_000);
        self.correlator.advance(self.now, &mut self.events);
    }

    fn wire(sender: Party) -> Origin {
        let direction = match sender {
            Party::Client => Direction::Ingress,
            Party::Server => Direction::Egress,
        };
        Origin::Wire { ifindex: 2, direction }
    }

    pub(super) fn segment(&mut self, sender: Party, flags: &[Flags], payload: &[u8]) {
        let client = SocketAddrV4::new(CLIENT, self.port);
        let server = SocketAddrV4::new(SERVER, 1723);
        let (source, destination) = match sender {
            Party::Client => (client, server),
            Party::Server => (server, client),
        };
        let bits = flags.iter().fold(0, |bits, flag| bits | u8::from(*flag));
        let next = &mut self.next[sender as usize];
        let sequence = *next;
        let phantom = u32::from(flags.contains(&Flags::SYN) || flags.contains(&Flags::FIN));
        *next = next.wrapping_add(payload.len() as u32 + phantom);
        let segment = Segment {
            source,
            destination,
            flags: Flags::from(bits),
            sequence,
            acknowledgement: None,
            payload: Bytes::copy_from_slice(payload),
        };
        self.observe(Self::wire(sender), What::Segment(segment));
    }

    pub(super) fn message(&mut self, sender: Party, message: impl Into<Message>) {
        let bytes = message.into().encode();
        self.segment(sender, &[Flags::ACK, Flags::PSH], &bytes);
    }

    pub(super) fn flow_from(&self, sender: Party) -> FlowKey {
        match sender {
            Party::Client => FlowKey { source: CLIENT, destination: SERVER, call_id: self.server_call_id },
            Party::Server => FlowKey { source: SERVER, destination: CLIENT, call_id: self.client_call_id },
        }
    }

    pub(super) fn frame(&mut self, sender: Party, frame: Frame) {
        let number = self.gre_next[sender as usize];
        self.gre_next[sender as usize] += 1;
        self.numbered_frame(sender, number, frame);
    }

    pub(super) fn numbered_frame(&mut self, sender: Party, number: u32, frame: Frame) {
        let frame = PppFrame { flow: self.flow_from(sender), gre_sequence: Some(number), frame: Ok(frame) };
        self.observe(Self::wire(sender), What::Ppp(frame));
    }

    pub(super) fn counters(&mut self, sender: Party, flow: Flow) {
        let (key, Origin::Wire { direction, .. }) = (self.flow_from(sender), Self::wire(sender)) else {
            unreachable!("wire() gives a wire origin");
        };
        self.observe(Origin::Counters, What::Flow(key, direction, flow));
    }

    /// SYN, SYN-ACK.
    pub(super) fn connect(&mut self) {
        self.segment(Party::Client, &[Flags::SYN], &[]);
        self.segment(Party::Server, &[Flags::SYN, Flags::ACK], &[]);
    }

    /// Start-Control-Connection, Outgoing-Call.
    pub(super) fn call(&mut self) {
        self.message(Party::Client, start_request());
        self.message(Party::Server, start_reply(StartResult::from(1)));
        self.message(Party::Client, call_request(self.client_call_id));
        let reply = call_reply(self.server_call_id, self.client_call_id, OutgoingCallResult::from(1));
        self.message(Party::Server, reply);
    }

    /// LCP, with MS-CHAPv2 demanded by the server.
    pub(super) fn lcp(&mut self) {
        let method = lcp::AuthenticationMethod::MsChapV2;
        let server = vec![lcp::LcpOption::AuthenticationProtocol { method }];
        let client = vec![lcp::LcpOption::MagicNumber { magic: 5 }];
        let lcp = |id, body| Frame::Lcp(lcp::Packet { id, body });
        self.frame(Party::Server, lcp(1, ConfigureRequest { options: server.clone() }));
        self.frame(Party::Client, lcp(1, ConfigureRequest { options: client.clone() }));
        self.frame(Party::Server, lcp(1, ConfigureAck { options: client }));
        self.frame(Party::Client, lcp(1, ConfigureAck { options: server }));
    }

    pub(super) fn challenge_and_response(&mut self, name: &str) {
        let chap = |body| Frame::Chap(chap::Packet { id: 9, body });
        self.frame(Party::Server, chap(chap::Body::Challenge { value_size: 16, name: "vpn1".into() }));
        self.frame(Party::Client, chap(chap::Body::Response { value_size: 49, name: name.into() }));
    }

    pub(super) fn chap_success(&mut self) {
        let body = chap::Body::Success { message: String::new() };
        self.frame(Party::Server, Frame::Chap(chap::Packet { id: 9, body }));
    }

    pub(super) fn chap_failure(&mut self) {
        let error = Some(chap::FailureCode::from(691));
        let body = chap::Body::Failure { error, retry: Some(false), version: None, message: String::new() };
        self.frame(Party::Server, Frame::Chap(chap::Packet { id: 9, body }));
    }

    /// CCP with MPPE-128, stateless.
    pub(super) fn ccp(&mut self) {
        let bits = 0x0100_0040.into();
        let options = vec![ccp::CcpOption::Mppe { bits }];
        for sender in [Party::Server, Party::Client] {
            let body = ConfigureRequest { options: options.clone() };
            self.frame(sender, Frame::Ccp(ccp::Packet { id: 1, body }));
            let body = ConfigureAck { options: options.clone() };
            self.frame(sender.peer(), Frame::Ccp(ccp::Packet { id: 1, body }));
        }
    }

    /// IPCP, the client's address given by Nak.
    pub(super) fn ipcp(&mut self) {
        let ipcp = |id, body| Frame::Ipcp(ipcp::Packet { id, body });
        let address = |address| vec![ipcp::IpcpOption::IpAddress { address }];
        let nothing = Ipv4Addr::UNSPECIFIED;
        self.frame(Party::Client, ipcp(1, ConfigureRequest { options: address(nothing) }));
        self.frame(Party::Server, ipcp(1, ConfigureRequest { options: address(SERVER_TUNNEL) }));
        self.frame(Party::Client, ipcp(1, ConfigureAck { options: address(SERVER_TUNNEL) }));
        self.frame(Party::Client, ipcp(2, ConfigureRequest { options: address(CLIENT_TUNNEL) }));
        self.frame(Party::Server, ipcp(2, ConfigureAck { options: address(CLIENT_TUNNEL) }));
    }

    pub(super) fn interface(&mut self, index: u32) {
        let interface = PppInterface {
            mtu: 1400,
            index,
            name: format!("ppp{index}"),
            local: Some(SERVER_TUNNEL),
            peer: Some(CLIENT_TUNNEL),
        };
        self.observe(Origin::Devices, What::PppInterface(interface));
    }

    /// Everything up to traffic.
    pub(super) fn up(&mut self) {
        self.connect();
        self.call();
        self.lcp();
        self.challenge_and_response("alice");
        self.chap_success();
        self.ccp();
        self.ipcp();
        self.interface(0);
    }

    /// Names of the events so far, without the chatter.
    pub(super) fn story(&self) -> Vec<String> {
        let tell = |event: &Event| match &event.body {
            Body::SessionStart { .. } => Some("start".into()),
            Body::SessionPhase { session_phase: change } => {
                Some(format!("{:?} by {:?}", change.phase, change.reason).to_lowercase())
            }
            Body::SessionUp { .. } => Some("up".into()),
            Body::SessionEnd { session_end: end } => {
                Some(format!("end {:?} {:?}", end.reason, end.by).to_lowercase())
            }
            _ => None,
        };
        self.events.iter().filter_map(tell).collect()
    }
}

/// Counters of a flow that has carried `packets` numbered packets and acknowledged up to `ack`.
pub(super) fn carried(packets: u32, ack: Option<u32>) -> Flow {
    let mut sequence = Sequence::default();
    for number in 0..packets {
        sequence.record(number);
    }
    let packets = u64::from(packets);
    let (acks, last_ack) = (ack.map_or(0, |_| packets), ack.unwrap_or(0));
    Flow { packets, bytes: packets * 100, sequence, acks, last_ack, ..Flow::default() }
}

/// Counters of a flow whose highest number is `highest`, and which acknowledged up to `ack`.
pub(super) fn numbered(highest: u32, ack: u32) -> Flow {
    let mut sequence = Sequence::default();
    sequence.record(highest);
    Flow { packets: 10, bytes: 1000, sequence, acks: 10, last_ack: ack, ..Flow::default() }
}

pub(super) fn start_request() -> StartControlConnectionRequest {
    StartControlConnectionRequest {
        protocol_version: 0x100,
        framing_capabilities: 1.into(),
        bearer_capabilities: 1.into(),
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "local".into(),
        vendor: "cananian".into(),
    }
}

pub(super) fn start_reply(result: StartResult) -> StartControlConnectionReply {
    StartControlConnectionReply {
        protocol_version: 0x100,
        result,
        error: GeneralError::None,
        framing_capabilities: 1.into(),
        bearer_capabilities: 1.into(),
        maximum_channels: 0,
        firmware_revision: 1,
        host_name: "vpn1".into(),
        vendor: "linux".into(),
    }
}

pub(super) fn call_request(call_id: u16) -> OutgoingCallRequest {
    OutgoingCallRequest {
        call_id,
        call_serial_number: 1,
        minimum_bps: 2400,
        maximum_bps: 10_000_000,
        bearer_type: 3.into(),
        framing_type: 3.into(),
        receive_window_size: 3,
        packet_processing_delay: 0,
        phone_number_length: 0,
        phone_number: String::new(),
        subaddress: String::new(),
    }
}

pub(super) fn call_reply(call_id: u16, peer: u16, result: OutgoingCallResult) -> OutgoingCallReply {
    OutgoingCallReply {
        call_id,
        peer_call_id: peer,
        result,
        error: GeneralError::None,
        cause_code: 0,
        connect_speed: 100_000,
        receive_window_size: 1,
        packet_processing_delay: 0,
        physical_channel_id: 0,
    }
}
