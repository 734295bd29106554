//! From an IPv4 packet to what the correlator wants to know of it. The ring of the kernel programs
//! and the reader of captures share this.

use std::net::SocketAddrV4;

use bytes::Bytes;

use crate::observation::{FlowKey, IcmpError, PppFrame, Quoted, Segment, What};
use crate::wire::icmp::{self, Transport};
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
    /// Not an ICMP error about a call or a control connection.
    #[error("ICMP")]
    Icmp(#[from] icmp::DecodeError),
    /// An ICMP error about somebody else's packet.
    #[error("an ICMP error about another protocol")]
    OtherQuoted,
    /// Neither TCP, GRE nor ICMP.
    #[error("protocol {0} is neither TCP, GRE nor ICMP")]
    Protocol(u8),
    /// A later fragment: its first one told what it is.
    #[error("a later fragment")]
    LaterFragment,
}

/// Reads a packet that begins with its IPv4 header: a TCP segment, GRE with a PPP frame, or an ICMP
/// error that quotes one of them.
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
        ip::PROTOCOL_ICMP => {
            let error = icmp::Error::decode(packet.payload.into_bytes())?;
            let about = match error.quoted.transport {
                Transport::Gre { call_id } => Quoted::Gre(FlowKey {
                    source: error.quoted.source,
                    destination: error.quoted.destination,
                    call_id,
                }),
                Transport::Tcp { source_port, destination_port, .. }
                    if source_port == tcp::PPTP_PORT || destination_port == tcp::PPTP_PORT =>
                {
                    Quoted::Tcp {
                        source: SocketAddrV4::new(error.quoted.source, source_port),
                        destination: SocketAddrV4::new(error.quoted.destination, destination_port),
                    }
                }
                Transport::Tcp { .. } | Transport::Other { .. } => return Err(Error::OtherQuoted),
            };
            Ok(What::Icmp(IcmpError {
                reporter: packet.source,
                receiver: packet.destination,
                kind: error.kind.number(),
                code: error.code,
                next_hop_mtu: error.next_hop_mtu,
                quoted_bytes: error.quoted.total_bytes,
                dont_fragment: error.quoted.dont_fragment,
                about,
            }))
        }
        other => Err(Error::Protocol(other)),
    }
}
