//! From an IPv4 packet to what the correlator wants to know of it. The ring of the kernel programs
//! and the reader of captures share this.

use std::net::SocketAddrV4;

use bytes::Bytes;

use crate::observation::{FlowKey, PppFrame, Segment, What};
use crate::wire::{gre, ip, ppp, tcp};

/// Why a packet tells nothing about a call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The IPv4 header cannot be read.
    #[error("IPv4")]
    Ip(#[from] ip::Error),
    /// The TCP header cannot be read.
    #[error("TCP")]
    Tcp(#[from] tcp::Error),
    /// Not a GRE packet of a PPTP tunnel.
    #[error("GRE")]
    Gre(#[from] gre::Error),
    /// Neither TCP nor GRE.
    #[error("protocol {0} is neither TCP nor GRE")]
    Protocol(u8),
    /// A later fragment: its first one told what it is.
    #[error("a later fragment")]
    LaterFragment,
}

/// Reads a packet that begins with its IPv4 header: a TCP segment, or GRE with a PPP frame.
///
/// # Errors
///
/// When the packet is neither, or its headers are cut or contradict themselves.
pub fn decode(bytes: Bytes) -> Result<What, Error> {
    let packet = ip::Packet::decode(bytes)?;
    if packet.fragment_offset > 0 {
        return Err(Error::LaterFragment);
    }
    let cut = packet.missing_bytes;
    match packet.protocol {
        ip::PROTOCOL_TCP => {
            let segment = tcp::Segment::decode(packet.payload.into_bytes())?;
            Ok(What::Segment(Segment {
                source: SocketAddrV4::new(packet.source, segment.source_port),
                destination: SocketAddrV4::new(packet.destination, segment.destination_port),
                flags: segment.flags,
                sequence: segment.sequence,
                acknowledgement: segment.flags.contains(tcp::Flags::ACK).then_some(segment.acknowledgement),
                payload: segment.payload.into_bytes(),
            }))
        }
        ip::PROTOCOL_GRE => {
            // What the later fragments carry is not here, and its length is not known.
            let cut = if packet.more_fragments { usize::from(u16::MAX) } else { cut };
            let gre = gre::Packet::decode(packet.payload.into_bytes(), cut)?;
            let flow =
                FlowKey { source: packet.source, destination: packet.destination, call_id: gre.call_id };
            let frame = ppp::Frame::decode(gre.payload.into_bytes(), gre.missing_bytes);
            Ok(What::Ppp(PppFrame { flow, gre_sequence: gre.sequence, frame }))
        }
        other => Err(Error::Protocol(other)),
    }
}
