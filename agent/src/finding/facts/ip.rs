//! What the negotiation of addresses shows.

use super::lcp::{terminated_with, terminated_with_code};
use crate::event::Party;
use crate::event::session::Phase;
use crate::finding::dossier::{Dossier, the};
use crate::finding::fact::Reading;
use crate::wire::ppp::Protocol;

const ENOUGH_REFUSALS: u32 = 4;

facts! { Dossier;
    REFUSED_AGAIN_AND_AGAIN: Negotiation, "one end refuses the other's addresses again and again" => |call| {
        let exchange = &call.ipcp.exchange;
        let refusals = |party| exchange.refusals.of(party).count();
        let by = [Party::Client, Party::Server].into_iter().find(|party| {
            // In the end pppd asks for nothing, gets it, and closes: nothing was agreed on.
            let agreed = exchange.opened.is_some() && exchange.terminated.is_none();
            refusals(*party) >= ENOUGH_REFUSALS && !agreed
        });
        Reading::of(by.map(|by| {
            let since = exchange.refusals.of(by).since().unwrap_or_default();
            (since, format!("{} refuses {} {} times", the(by), exchange.refusals.of(by).options.join(", "), refusals(by)))
        }))
    };
    SAME_ADDRESS: Negotiation, "another call that is up has the same address in its tunnel" => |call| {
        Reading::of(call.same_address.as_deref().cloned())
    };
    CLOSED: Negotiation, "an end closes IPCP, or does not speak it" => |call| {
        if call.ipcp.exchange.opened.is_some() {
            return Reading::Silent;
        }
        let closed = call.ipcp.exchange.terminated.as_deref().map(|(at, by, reason)| {
            (*at, format!("Terminate-Request of {}: {reason:?}", the(*by)))
        });
        let refused = [Party::Client, Party::Server].into_iter().find_map(|party| {
            let rejects = call.lcp.protocol_rejects.of(party);
            let (at, _) = rejects.iter().find(|(_, protocol)| *protocol == Protocol::Ipcp)?;
            Some((*at, format!("Protocol-Reject of IPCP by {}", the(party))))
        });
        Reading::of(closed.or(refused))
    };
    NO_NETWORK: Negotiation, "an end closes the link because no network protocol runs" => |call| {
        terminated_with(call, &["No network protocols running"])
    };
    NO_ADDRESS_CODE: Negotiation, "Windows says that it got no address" => |call| {
        terminated_with_code(call, &[717, 720, 733, 735, 738])
    };
    ASKS_FOR_ONE: Negotiation, "the client asks for an address and gets none" => |call| {
        let asked = call.ipcp.asked.client.filter(|address| address.is_unspecified());
        let exchange = &call.ipcp.exchange;
        // pppd agrees on no address at all, and closes then.
        let is_closed = exchange.opened.is_none() || exchange.terminated.is_some();
        let is_so = asked.is_some() && call.ipcp.offered.server.is_none() && is_closed;
        let at = call.ipcp.exchange.requests.client.since();
        Reading::flag(is_so && call.is_ending() && call.entered(Phase::Ipcp).is_some(), at)
    };
}
