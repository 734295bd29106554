//! The control connection: TCP port 1723 (RFC 2637, section 1.3).

use aya_ebpf::bindings::BPF_ANY;
use pptpscope_common::{FlowKey, Kind, PEER_KNOWN};

use crate::ip::Datagram;
use crate::limit;
use crate::maps::PEERS;
use crate::packet::Packet;

/// The server's port.
const PPTP: u16 = 1723;

/// Bytes of an Outgoing-Call-Reply, and of what of it is read (RFC 2637, section 2.8).
const REPLY: u16 = 32;
const REPLY_HEAD: usize = 17;

/// Types of messages and of control messages (RFC 2637, chapter 2), and the result that accepts.
const CONTROL_MESSAGE: u16 = 1;
const MAGIC: u32 = 0x1a2b_3c4d;
const OUTGOING_CALL_REPLY: u16 = 8;
const CONNECTED: u8 = 1;

/// Tells to report a segment of a control connection: rare, and each tells whether the connection is well.
///
/// Segments whose header is damaged are reported too: judging them is the decoder's task.
#[inline(always)]
pub(crate) fn tcp<P: Packet>(packet: &P, datagram: &Datagram) -> Option<Kind> {
    // Later fragments carry no ports. Nothing that speaks PPTP fragments its control connection.
    if datagram.is_later_fragment() || datagram.payload() < 4 {
        return None;
    }
    let [source_high, source_low, port_high, port_low] = packet.read::<4>(datagram.payload_at())?;
    let source = u16::from_be_bytes([source_high, source_low]);
    let destination = u16::from_be_bytes([port_high, port_low]);
    if source != PPTP && destination != PPTP {
        return None;
    }
    if source == PPTP {
        learn_call(packet, datagram);
    }
    limit::check(packet, datagram, Kind::Control)
}

/// Takes the two call ids from an Outgoing-Call-Reply that accepts: from now on the two directions of
/// the call know each other. The agent does the same for calls whose reply is not at the beginning of
/// a segment, but it may come after the first packets.
#[inline(always)]
fn learn_call<P: Packet>(packet: &P, datagram: &Datagram) {
    let Some([data_offset]) = packet.read::<1>(datagram.payload_at() + 12) else { return };
    let header = usize::from(data_offset >> 4) * 4;
    if datagram.payload() < header + usize::from(REPLY) {
        return;
    }
    let Some(head) = packet.read::<REPLY_HEAD>(datagram.payload_at() + header) else { return };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let is_reply = word(0) == REPLY
        && word(2) == CONTROL_MESSAGE
        && u32::from_be_bytes([head[4], head[5], head[6], head[7]]) == MAGIC
        && word(8) == OUTGOING_CALL_REPLY;
    if !is_reply || head[16] != CONNECTED {
        return;
    }
    let (server_id, client_id) = (word(12), word(14));
    let from_server = FlowKey {
        source: datagram.source,
        destination: datagram.destination,
        call_id: client_id,
        direction: 0,
        _pad: 0,
    };
    let from_client = FlowKey {
        source: datagram.destination,
        destination: datagram.source,
        call_id: server_id,
        direction: 0,
        _pad: 0,
    };
    // Failing here costs round trips only.
    let _ = PEERS.insert(from_server, PEER_KNOWN | u32::from(server_id), BPF_ANY as u64);
    let _ = PEERS.insert(from_client, PEER_KNOWN | u32::from(client_id), BPF_ANY as u64);
}
