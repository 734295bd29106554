//! ICMP errors about the packets of a call.

use super::Correlator;
use super::call::{ConnectionKey, Serial};
use crate::event::icmp::{Error, QuotedProtocol};
use crate::event::{Body, Event, Party, Severity};
use crate::observation::{IcmpError, Quoted};
use crate::time::Timestamp;
use crate::wire::icmp::{Kind, Unreachable};
use crate::wire::tcp::PPTP_PORT;

impl Correlator {
    /// An ICMP error that quotes a packet of a call or of a control connection.
    pub(super) fn icmp(&mut self, at: Timestamp, error: &IcmpError, out: &mut Vec<Event>) {
        let (serial, quoted_sender) = self.quoted(&error.about);
        let kind = Kind::from(error.kind);
        let icmp_error = Error {
            reporter: error.reporter,
            receiver: error.receiver,
            kind,
            code: error.code,
            unreachable: (kind == Kind::DestinationUnreachable).then(|| Unreachable::from(error.code)),
            next_hop_mtu_bytes: error.next_hop_mtu,
            quoted: match error.about {
                Quoted::Gre(_) => QuotedProtocol::Gre,
                Quoted::Tcp { .. } => QuotedProtocol::Control,
            },
            quoted_sender,
            quoted_bytes: error.quoted_bytes,
            dont_fragment: error.dont_fragment,
        };
        let call = serial.and_then(|serial| self.calls.get(serial));
        out.push(self.event(at, Severity::Warning, call, Body::IcmpError { icmp_error }));
    }

    /// The call that the quoted packet belongs to, and which end sent it.
    fn quoted(&self, about: &Quoted) -> (Option<Serial>, Option<Party>) {
        match about {
            Quoted::Gre(flow) => {
                let serial = self.flows.get(flow).copied();
                let call = serial.and_then(|serial| self.calls.get(serial));
                (serial, call.map(|call| call.sender_on(flow)))
            }
            Quoted::Tcp { source, destination } => {
                let (key, sender) = if destination.port() == PPTP_PORT {
                    (ConnectionKey { client: *source, server: *destination }, Party::Client)
                } else {
                    (ConnectionKey { client: *destination, server: *source }, Party::Server)
                };
                (self.connections.calls_on(&key).last().copied(), Some(sender))
            }
        }
    }
}
