//! `agent.loss`: what was lost since the last report, stage by stage.

use std::collections::BTreeMap;

use crate::event::agent::{Loss, LossStage, Status};

const RING: &str = "raise --ring-bytes, or find out what keeps the agent from reading";
const SESSIONS: &str = "raise --max-sessions";
const OUTPUT: &str = "the receiver of this sink is too slow or away; a larger `buffer` bridges more";
const NETLINK: &str = "none needed: the devices were listed anew";
const DROPS: &str = "none needed: there is room again after a minute; a flood of GRE fills the table";
const DECODE: &str = "none needed: malformed packets are normal; --verbose shows why";

/// Places where something can be lost, sinks aside.
const STAGES: usize = 9;

/// Totals that were reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// In the order of [`totals`].
    reported: [u64; STAGES],
    /// By name of the sink.
    sinks: BTreeMap<String, u64>,
}

type Stage = (u64, LossStage, Option<&'static str>, &'static str);

fn totals(status: &Status) -> [Stage; STAGES] {
    [
        (status.ring.control.ring_full, LossStage::Ring, Some("control"), RING),
        (status.ring.ppp.ring_full, LossStage::Ring, Some("ppp"), RING),
        (status.ring.icmp.ring_full, LossStage::Ring, Some("icmp"), RING),
        (status.ring.radius.ring_full, LossStage::Ring, Some("radius"), RING),
        (status.refused.flows_full, LossStage::Flows, None, SESSIONS),
        (status.sessions_evicted, LossStage::Sessions, None, SESSIONS),
        (status.netlink_overruns, LossStage::Netlink, None, NETLINK),
        (status.undecodable, LossStage::Decode, None, DECODE),
        (status.drops.unbooked, LossStage::Drops, None, DROPS),
    ]
}

impl Losses {
    /// What `status` has more than was reported before.
    pub(super) fn since(&mut self, status: &Status) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (reported, (total, stage, kind, remedy)) in self.reported.iter_mut().zip(totals(status)) {
            let lost = total.saturating_sub(*reported);
            if lost > 0 {
                *reported = total;
                let (kind, remedy) = (kind.map(str::to_owned), remedy.to_owned());
                losses.push(Loss { stage, kind, lost, total, remedy });
            }
        }
        for sink in &status.sinks {
            let reported = self.sinks.entry(sink.name.clone()).or_default();
            let lost = sink.dropped.saturating_sub(*reported);
            if lost > 0 {
                *reported = sink.dropped;
                let (kind, remedy) = (Some(sink.name.clone()), OUTPUT.to_owned());
                losses.push(Loss { stage: LossStage::Output, kind, lost, total: sink.dropped, remedy });
            }
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::agent::Sink;

    #[test]
    fn reports_each_loss_once() {
        let mut losses = Losses::default();
        let mut status = Status::default();
        assert!(losses.since(&status).is_empty());
        status.ring.ppp.ring_full = 3;
        status.sinks = vec![Sink { name: "stdout".into(), dropped: 1, ..Sink::default() }];
        let report = losses.since(&status);
        let stages: Vec<_> = report.iter().map(|loss| (loss.stage, loss.lost, loss.total)).collect();
        assert_eq!(stages, [(LossStage::Ring, 3, 3), (LossStage::Output, 1, 1)]);
        assert_eq!(report[0].kind.as_deref(), Some("ppp"));
        assert!(losses.since(&status).is_empty());
        status.ring.ppp.ring_full = 5;
        assert_eq!(losses.since(&status).first().map(|loss| (loss.lost, loss.total)), Some((2, 5)));
        // The last one in the list.
        status.drops.unbooked = 7;
        let report = losses.since(&status);
        assert_eq!(
            report.iter().map(|loss| (loss.stage, loss.lost)).collect::<Vec<_>>(),
            [(LossStage::Drops, 7)]
        );
    }
}
