//! RADIUS (RFC 2865, section 3): UDP from or to a port of a server.

use aya_ebpf::Global;
use pptpscope_common::{Kind, RADIUS_PORTS};

use crate::ip::Datagram;
use crate::packet::Packet;

/// Bytes of a UDP header.
const HEADER: usize = 8;

/// Ports of servers, zero where there are fewer; set at load. The verifier knows them and turns each
/// comparison into one with a constant.
#[unsafe(no_mangle)]
static RADIUS_SERVERS: Global<[u16; RADIUS_PORTS]> = Global::new([0; RADIUS_PORTS]);

/// The lowest and the highest of them: nearly every datagram has two ports that are not between these. Nothing is
/// between them where there are none.
#[unsafe(no_mangle)]
static RADIUS_RANGE: Global<[u16; 2]> = Global::new([u16::MAX, 0]);

/// Tells to report a datagram from or to a RADIUS server. Of a fragmented one only the first part, which the
/// agent counts as undecodable: requests about PPTP calls are far shorter than a packet.
#[inline(always)]
pub(crate) fn udp<P: Packet>(packet: &P, datagram: &Datagram) -> Option<Kind> {
    if datagram.is_later_fragment() || datagram.payload() < HEADER {
        return None;
    }
    let [source_high, source_low, port_high, port_low] = packet.read::<4>(datagram.payload_at())?;
    let source = u16::from_be_bytes([source_high, source_low]);
    let destination = u16::from_be_bytes([port_high, port_low]);
    let [lowest, highest] = RADIUS_RANGE.load();
    let is_between = |port: u16| port >= lowest && port <= highest;
    if !is_between(source) && !is_between(destination) {
        return None;
    }
    let mut is_server = false;
    for port in RADIUS_SERVERS.load() {
        is_server |= port != 0 && (port == source || port == destination);
    }
    is_server.then_some(Kind::Radius)
}
