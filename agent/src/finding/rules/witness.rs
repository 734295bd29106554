//! `witness.*`: two sources that must agree and do not.

use crate::event::finding::Confidence;
use crate::finding::dossier::Dossier;
use crate::finding::facts::{gre, logs};
use crate::finding::rule::Rule;

/// Both want a kernel that was watched: what it drops is no disagreement.
pub(in crate::finding) const RULES: &[Rule<Dossier>] = &[
    Rule {
        code: "witness.disagreement",
        all: &[logs::SENT_NOT_SEEN, gre::NOT_LOST_HERE],
        unless: &[gre::DROPPED_BY_FIREWALL, gre::NO_ROUTE, gre::QUEUE_FULL, logs::GRE_SEND_REFUSED],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "pppd says that it sends frames to {}, and none leaves this host: they are lost between pppd and the wire.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
    Rule {
        code: "witness.disagreement",
        all: &[logs::CAME_NOT_READ, gre::NOT_LOST_HERE],
        unless: &[
            gre::DROPPED_BY_FIREWALL,
            gre::SOCKET_FULL,
            gre::NO_RECEIVER_HERE,
            gre::IP_REFUSED,
            gre::LINK_DAMAGED,
        ],
        confidence: Confidence::Medium,
        say: |call| {
            format!(
                "Frames of {} come in, and pppd says that it receives none: they are lost between the wire and pppd.",
                call.client()
            )
        },
        ..Rule::BLANK
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::session::{Origin, Phase};
    use crate::event::{Party, SessionRef};
    use crate::finding::dossier::{Sources, bump};
    use crate::time::Timestamp;

    /// A call whose pppd logs so many frames sent and received, and so many of each end on the wire.
    fn call(sent: usize, received: usize, of_server: usize, of_client: usize) -> Dossier {
        let at = Timestamp::from_unix_ns(1);
        let sources = Sources { wire: true, log: true, kernel: true, radius: false };
        let mut call = Dossier::new(SessionRef::nameless(uuid::Uuid::nil()).into(), at, sources);
        call.origin = Origin::Control;
        call.enter(Phase::Tcp, at);
        for _ in 0..sent {
            call.logs.dumped(at, true);
        }
        for _ in 0..received {
            call.logs.dumped(at, false);
        }
        (0..of_server).for_each(|_| bump(&mut call.lcp.frames, Party::Server, at));
        (0..of_client).for_each(|_| bump(&mut call.lcp.frames, Party::Client, at));
        call
    }

    fn disagrees(call: &Dossier) -> bool {
        RULES.iter().any(|rule| rule.conclude(call).is_some())
    }

    #[test]
    fn frames_that_only_one_witness_has_seen() {
        assert!(disagrees(&call(4, 0, 0, 0)), "sent, and not on the wire");
        assert!(disagrees(&call(4, 0, 4, 4)), "on the wire, and not received");
        assert!(!disagrees(&call(4, 4, 4, 4)));
        assert!(!disagrees(&call(4, 0, 4, 0)), "nothing came");
        assert!(!disagrees(&call(0, 0, 0, 4)), "no debug log");
    }
}
