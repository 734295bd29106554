//! What packets inside the tunnel show.

use crate::event::Party;
use crate::finding::dossier::{Dossier, the};
use crate::finding::fact::Reading;

facts! { Dossier;
    OWN_GRE_INSIDE: Inner, "GRE to the call's other end is sent into the call's own tunnel" => |call| {
        Reading::of(call.told.routing_loop.map(|(since, told)| {
            (since, format!("{} packets to {}", told.total, told.destination))
        }))
    };
    MSS_TOO_LARGE: Inner, "TCP in the tunnel announces segments that do not fit" => |call| {
        let told = [Party::Client, Party::Server]
            .into_iter()
            .filter_map(|party| call.told.mss.of(party).as_ref().map(|(at, last)| (*at, party, last)));
        let words: Vec<(_, String)> = told
            .map(|(at, party, last)| {
                let (mss, mtu) = (last.mss_bytes, last.mtu_bytes);
                (at, format!("{} from {}, the last with MSS {mss} for an MTU of {mtu}", last.total, the(party)))
            })
            .collect();
        let since = words.iter().map(|(at, _)| *at).min();
        let words: Vec<String> = words.into_iter().map(|(_, text)| text).collect();
        Reading::of(since.map(|since| (since, words.join("; "))))
    };
}
