//! Who is the client, where no control connection tells: what the ends of a PPP link say shows it.

use crate::event::Party;
use crate::wire::ppp::ipcp::IpcpOption;
use crate::wire::ppp::lcp::LcpOption;
use crate::wire::ppp::{Frame, chap, cp, eap, pap};

/// The end that sends such a frame, when only one of them does.
///
/// The server demands proof, challenges and gives addresses; the client names itself and asks for
/// an address.
pub(super) fn sender_of(frame: &Frame) -> Option<Party> {
    match frame {
        Frame::Chap(packet) => match packet.body {
            chap::Body::Challenge { .. } | chap::Body::Success { .. } | chap::Body::Failure { .. } => {
                Some(Party::Server)
            }
            chap::Body::Response { .. } => Some(Party::Client),
            _ => None,
        },
        Frame::Pap(packet) => match packet.body {
            pap::Body::AuthenticateRequest { .. } => Some(Party::Client),
            pap::Body::AuthenticateAck { .. } | pap::Body::AuthenticateNak { .. } => Some(Party::Server),
            pap::Body::Unknown { .. } => None,
        },
        Frame::Eap(packet) => match packet.code {
            eap::Code::Request | eap::Code::Success | eap::Code::Failure => Some(Party::Server),
            eap::Code::Response => Some(Party::Client),
            eap::Code::Unknown(_) => None,
        },
        Frame::Lcp(packet) => match &packet.body {
            cp::Body::ConfigureRequest { options } => {
                let demands =
                    options.iter().any(|option| matches!(option, LcpOption::AuthenticationProtocol { .. }));
                Some(if demands { Party::Server } else { Party::Client })
            }
            _ => None,
        },
        Frame::Ipcp(packet) => match &packet.body {
            cp::Body::ConfigureRequest { options } => options.iter().find_map(|option| match option {
                IpcpOption::IpAddress { address } if address.is_unspecified() => Some(Party::Client),
                _ => None,
            }),
            cp::Body::ConfigureNak { options } => options
                .iter()
                .any(|option| matches!(option, IpcpOption::IpAddress { .. }))
                .then_some(Party::Server),
            _ => None,
        },
        _ => None,
    }
}
