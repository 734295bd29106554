//! One control connection: two byte streams and the calls on it.

use super::call::{ConnectionKey, Serial};
use crate::event::{Party, PerParty};
use crate::observation::Segment;
use crate::time::Timestamp;
use crate::wire::stream::Assembler;
use crate::wire::tcp::{Flags, PPTP_PORT};

/// State of a control connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) streams: PerParty<Assembler>,
    /// Live calls on it, oldest first.
    pub(super) calls: Vec<Serial>,
    /// Who has sent FIN.
    pub(super) finished: PerParty<bool>,
    /// Sequence number of the client's SYN, to know a retransmission of it.
    pub(super) client_isn: Option<u32>,
    pub(super) last_seen: Timestamp,
}

impl Connection {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            streams: PerParty::default(),
            calls: Vec::new(),
            finished: PerParty::default(),
            client_isn: None,
            last_seen: at,
        }
    }
}

/// Which connection a segment belongs to, and who sent it: the server's end has port 1723.
pub(super) fn identify(segment: &Segment) -> (ConnectionKey, Party) {
    let from_server = if segment.destination.port() == PPTP_PORT {
        // Both ports may be 1723: then SYN with ACK tells the server's answer.
        segment.source.port() == PPTP_PORT
            && segment.flags.contains(Flags::SYN)
            && segment.flags.contains(Flags::ACK)
    } else {
        true
    };
    if from_server {
        (ConnectionKey { client: segment.destination, server: segment.source }, Party::Server)
    } else {
        (ConnectionKey { client: segment.source, server: segment.destination }, Party::Client)
    }
}
