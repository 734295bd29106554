//! Public captures, read through all decoders. They are not part of the project: see `capture`.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::PathBuf};

use bytes::{Buf, Bytes};

use super::{
    gre, ip,
    ppp::{
        Frame, Framed, Protocol,
        ccp::{CcpOption, MppeBits},
        chap,
        cp::{Body, Code},
        ipcp::IpcpOption,
        lcp::{AuthenticationMethod, LcpOption},
    },
    pptp::{
        Message,
        codes::{OutgoingCallResult, StartResult},
        peer::Software,
    },
    radius::{self, Attribute},
    stream::{Assembler, Item},
    tcp,
};

/// The packets of a capture (pcap, Ethernet, either byte order) from their IPv4 headers on; None, said
/// loudly, where the captures are not there.
fn capture(name: &str) -> Option<Vec<Bytes>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures"));
    let Ok(file) = fs::read(folder.join(name)) else {
        eprintln!("SKIPPED: the capture {name} is not in ../shared/captures of the workspace");
        return None;
    };
    let mut file = Bytes::from(file);
    let little = file.get_u32() == 0xd4c3_b2a1;
    let number = |file: &mut Bytes| if little { file.get_u32_le() } else { file.get_u32() } as usize;
    file.advance(16);
    assert_eq!(number(&mut file), 1, "Ethernet");
    let mut packets = Vec::new();
    while file.has_remaining() {
        file.advance(8);
        let captured = number(&mut file);
        file.advance(4);
        packets.extend(ipv4(file.split_to(captured)));
    }
    Some(packets)
}

/// Takes off Ethernet, VLANs, and an IPv6 tunnel around IPv4.
fn ipv4(mut frame: Bytes) -> Option<Bytes> {
    frame.advance(12);
    loop {
        match frame.try_get_u16().ok()? {
            0x8100 => frame.advance(2),
            0x0800 => return Some(frame),
            0x86dd if frame.get(6) == Some(&4) => return Some(frame.split_off(40)),
            _ => return None,
        }
    }
}

/// What a capture says.
#[derive(Default)]
struct Story {
    /// Control messages with their sender.
    control: Vec<(Ipv4Addr, Message)>,
    /// What is not a message on port 1723.
    odd: Vec<Item>,
    /// Frames of the tunnel other than data, with their sender.
    frames: Vec<(Ipv4Addr, Frame)>,
    /// Data frames by protocol.
    data: BTreeMap<u16, usize>,
    /// Refused GRE packets.
    refused: BTreeMap<String, usize>,
}

impl Story {
    fn read(packets: Vec<Bytes>) -> Self {
        let mut story = Self::default();
        let mut streams: BTreeMap<_, Assembler> = BTreeMap::new();
        for packet in packets {
            let packet = ip::Packet::decode(packet).unwrap();
            let (from, to) = (packet.source, packet.destination);
            match packet.protocol {
                ip::PROTOCOL_TCP => {
                    let segment = tcp::Segment::decode(packet.payload.into_bytes()).unwrap();
                    let ports = (segment.source_port, segment.destination_port);
                    if ports.0 != tcp::PPTP_PORT && ports.1 != tcp::PPTP_PORT {
                        continue;
                    }
                    let syn = segment.flags.contains(tcp::Flags::SYN);
                    let stream = streams.entry((from, ports)).or_default();
                    let mut items = stream.segment(segment.sequence, syn, &segment.payload);
                    if segment.flags.contains(tcp::Flags::ACK) {
                        let other = streams.entry((to, (ports.1, ports.0))).or_default();
                        items.extend(other.acknowledged(segment.acknowledgement));
                    }
                    story.control(from, items);
                }
                ip::PROTOCOL_GRE if !packet.is_fragment() => {
                    match gre::Packet::decode(packet.payload.into_bytes(), packet.missing_bytes) {
                        Ok(tunnel) if tunnel.payload.is_empty() => {}
                        Ok(tunnel) => story.frame(from, tunnel),
                        Err(error) => *story.refused.entry(error.to_string()).or_default() += 1,
                    }
                }
                _ => {}
            }
        }
        for ((from, _), mut stream) in streams {
            story.control(from, stream.finish());
        }
        story
    }

    fn control(&mut self, from: Ipv4Addr, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Message(message) => self.control.push((from, message)),
                odd => self.odd.push(odd),
            }
        }
    }

    fn frame(&mut self, from: Ipv4Addr, tunnel: gre::Packet) {
        let framed = Framed::decode(tunnel.payload.into_bytes(), tunnel.missing_bytes).unwrap();
        match Frame::of(&framed).unwrap() {
            Frame::Data { protocol } => *self.data.entry(protocol.number()).or_default() += 1,
            frame => self.frames.push((from, frame)),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        self.control.iter().map(|(_, message)| message.name()).collect()
    }
}

#[test]
fn a_whole_call_of_a_windows_client() {
    let Some(packets) = capture("john-samples__lulu-password-pptp.pcap") else { return };
    let story = Story::read(packets);
    assert_eq!((story.odd, story.refused), (vec![], BTreeMap::new()));

    let (client, request) = &story.control[0];
    assert_eq!(Software::of(request), Some(Software::Microsoft));
    let Message::StartControlConnectionReply(reply) = &story.control[1].1 else { panic!() };
    assert_eq!((reply.result, reply.vendor.as_str()), (StartResult::Successful, "linux"));
    assert_eq!(Software::of(&story.control[1].1), Some(Software::Pptpd));
    let Message::OutgoingCallRequest(request) = &story.control[2].1 else { panic!() };
    let Message::OutgoingCallReply(reply) = &story.control[3].1 else { panic!() };
    assert_eq!((reply.result, reply.peer_call_id), (OutgoingCallResult::Connected, request.call_id));
    let accms: Vec<_> = story
        .control
        .iter()
        .filter_map(|(from, message)| match message {
            Message::SetLinkInfo(info) => Some((from, info.peer_call_id, info.send_accm, info.receive_accm)),
            _ => None,
        })
        .collect();
    // LCP opened, then the end of the call.
    assert_eq!(accms[0], (client, reply.call_id, 0xffff_ffff, 0xffff_ffff));
    assert_eq!(accms.len(), 2);

    let sent = |from_client: bool| {
        story.frames.iter().filter(move |(from, _)| (from == client) == from_client).map(|(_, frame)| frame)
    };
    let asks_for_ms_chap_v2 = |frame: &Frame| {
        let method = LcpOption::AuthenticationProtocol { method: AuthenticationMethod::MsChapV2 };
        matches!(frame, Frame::Lcp(packet)
            if packet.code() == Code::ConfigureRequest && packet.options().is_some_and(|all| all.contains(&method)))
    };
    assert!(sent(false).any(asks_for_ms_chap_v2));
    let response = sent(true).find_map(|frame| match frame {
        Frame::Chap(chap::Packet { body: chap::Body::Response { value_size, name }, .. }) => {
            Some((*value_size, name.as_str()))
        }
        _ => None,
    });
    assert_eq!(response, Some((49, "lulu")));
    assert!(
        sent(false).any(|frame| matches!(frame, Frame::Chap(packet) if packet.code() == chap::Code::Success))
    );

    let agreed = |from_client| {
        sent(from_client).find_map(|frame| match frame {
            Frame::Ccp(packet) => match &packet.body {
                Body::ConfigureAck { options } => Some(options.clone()),
                _ => None,
            },
            _ => None,
        })
    };
    let mppe = vec![CcpOption::Mppe { bits: MppeBits(0x0100_0040) }];
    assert_eq!((agreed(true), agreed(false)), (Some(mppe.clone()), Some(mppe)));
    let address = sent(false).find_map(|frame| match frame {
        Frame::Ipcp(packet) if packet.code() == Code::ConfigureAck => packet.options(),
        _ => None,
    });
    assert!(address.unwrap().iter().any(|option| matches!(option, IpcpOption::IpAddress { .. })));
    let identification = sent(true).any(|frame| {
        matches!(frame, Frame::Lcp(packet) if matches!(&packet.body, Body::Identification { message, .. }
            if message == "MSRASV5.20"))
    });
    assert!(identification);
    assert!(story.data[&Protocol::Compressed.number()] > 0);
}

#[test]
fn a_server_whose_pppd_does_not_start() {
    let Some(packets) = capture("tcpdump__pptp.pcap") else { return };
    let story = Story::read(packets);
    assert_eq!(story.odd, []);
    let opening = [
        "start_control_connection_request",
        "start_control_connection_reply",
        "outgoing_call_request",
        "outgoing_call_reply",
    ];
    assert_eq!(story.names()[..4], opening);
    let client = story.control[0].0;
    assert!(!story.frames.is_empty());
    assert!(story.frames.iter().all(|(from, _)| *from == client), "the server never sends LCP");
}

#[test]
fn a_tunnel_without_control_connection() {
    let Some(packets) = capture("zeek__gre-pptp.pcap") else { return };
    let story = Story::read(packets);
    assert!(story.control.is_empty() && story.refused.is_empty());
    assert!(story.data[&Protocol::Ip.number()] > 0);
}

#[test]
fn other_tunnels_are_nobodys_call() {
    let Some(packets) = capture("tcpdump__various_gre.pcap") else { return };
    let story = Story::read(packets);
    assert!(story.frames.is_empty() && story.data.is_empty());
    assert_eq!(story.refused.keys().collect::<Vec<_>>(), ["GRE version 0, not a PPTP tunnel"]);
}

#[test]
fn a_login_by_radius_with_a_second_round() {
    let Some(packets) = capture("john-samples__radius-sample-3.cap") else { return };
    let packets: Vec<_> = packets
        .into_iter()
        .map(|packet| {
            let datagram = ip::Packet::decode(packet).unwrap().payload.into_bytes();
            radius::Packet::decode(&datagram[8..]).unwrap()
        })
        .collect();
    let codes: Vec<_> = packets.iter().map(|packet| packet.code.name()).collect();
    assert_eq!(codes, ["access_request", "access_challenge", "access_request", "access_accept"]);
    assert_eq!(packets.iter().map(|packet| packet.id).collect::<Vec<_>>(), [5, 5, 6, 6]);
    assert_eq!(packets[0].user_name(), Some("John.McGuirk"));
    assert_eq!(packets[2].method(), Some(AuthenticationMethod::Eap));
    let text = packets[3].find(|attribute| match attribute {
        Attribute::ReplyMessage(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(text, Some("Hello, John.McGuirk"));
    assert!(packets.iter().all(|packet| packet.attributes.contains(&Attribute::MessageAuthenticator)));
    let unknown = packets
        .iter()
        .flat_map(|packet| &packet.attributes)
        .filter(|attribute| matches!(attribute, Attribute::Unknown(_) | Attribute::Vendor(_)));
    assert_eq!(unknown.count(), 0);
}
