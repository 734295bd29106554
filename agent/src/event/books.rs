//! `books`: what entered each stage of a call's way through this host, and what became of it.

use pptpscope_common::drop::Reason;
use schemars::JsonSchema;
use serde::Serialize;

use super::drop::DropReason;

/// Payload of `books`: sums since the agent met the call, of user traffic (frames with a PPP protocol
/// below 0x8000); negotiation frames have events of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Books {
    /// Who carries the GRE packets of this call.
    pub datapath: Datapath,
    /// From the network to the ppp interface.
    pub received: Side,
    /// From the ppp interface to the network.
    pub sent: Side,
    /// Whether these are the last figures of the call.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// The books of this host: what those of all calls of one datapath add up to, ended calls included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostBooks {
    /// Who carries the GRE packets of these calls.
    pub datapath: Datapath,
    /// How many calls.
    pub calls: u64,
    /// From the network to the ppp interfaces.
    pub received: Side,
    /// From the ppp interfaces to the network.
    pub sent: Side,
}

/// Who carries the GRE packets of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Datapath {
    /// A daemon with a raw socket and a pty (pptpd).
    #[default]
    Userspace,
    /// The kernel's own (pptp.ko).
    Kernel,
}

/// One direction of a call through this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Side {
    /// The stages that are counted on this host, in the order in which packets pass them.
    pub stages: Vec<StageBook>,
    /// Packets that entered a stage, did not leave it, and whose loss nobody booked. Absent when fewer
    /// than two stages are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unaccounted: Option<u64>,
    /// Packets that were between two stages, as far as can be told: under way, or missing for less
    /// than a second.
    pub in_transit: u64,
}

impl Side {
    /// Adds another call's. `order` has the stages of this direction.
    pub(crate) fn add(&mut self, other: Self, order: &[Stage]) {
        for book in other.stages {
            match self.stages.iter_mut().find(|known| known.stage == book.stage) {
                Some(known) => known.add(book),
                None => self.stages.push(book),
            }
        }
        self.stages.sort_by_key(|book| order.iter().position(|stage| *stage == book.stage));
        if let Some(unaccounted) = other.unaccounted {
            *self.unaccounted.get_or_insert(0) += unaccounted;
        }
        self.in_transit += other.in_transit;
    }
}

impl StageBook {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.unaccounted += other.unaccounted;
        for loss in other.lost {
            match self.lost.iter_mut().find(|known| known.reason == loss.reason) {
                Some(known) => known.packets += loss.packets,
                None => self.lost.push(loss),
            }
        }
    }
}

/// A stage, and what was lost behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StageBook {
    /// Which.
    pub stage: Stage,
    /// Packets counted there.
    pub packets: u64,
    /// What was lost between here and the next stage, by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Loss>,
    /// What is missing between here and the next stage without a reason.
    #[serde(skip_serializing_if = "is_zero")]
    pub unaccounted: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Packets lost for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "StageLoss")]
pub struct Loss {
    /// Why: a reason of `drop`.
    pub reason: DropReason,
    /// How many.
    pub packets: u64,
}

/// A place where packets are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The wire: XDP or TC of the uplink.
    Uplink,
    /// Delivered by the IPv4 layer, behind reassembly and firewall; only while armed.
    Delivered,
    /// The PPTP socket of the kernel.
    Socket,
    /// The channel of PPP: what comes out of the pty or the PPTP socket, or is given to it.
    Channel,
    /// The pty, sending; only while armed.
    Pty,
    /// The ppp unit.
    Unit,
    /// Given to decryption. Not every frame is, so nothing is balanced against it.
    Decryption,
    /// What pppN counts as received. Behind it decryption may still fail, and the network protocol
    /// may not be open.
    Interface,
}

impl Stage {
    /// All stages of what is received, in order.
    pub const RECEIVED: [Self; 7] = [
        Self::Uplink,
        Self::Delivered,
        Self::Socket,
        Self::Channel,
        Self::Unit,
        Self::Decryption,
        Self::Interface,
    ];

    /// All stages of what is sent, in order.
    pub const SENT: [Self; 4] = [Self::Unit, Self::Channel, Self::Pty, Self::Uplink];

    /// The stage of a received packet behind which it is lost for `reason`; None when the packet is no
    /// user traffic, or not lost.
    pub const fn received_before(reason: Reason) -> Option<Self> {
        use Reason::*;
        Some(match reason {
            NetfilterDrop | ConntrackFull | IpRefused | ReassemblyFailed | CpuBacklog | QueueFull => {
                Self::Uplink
            }
            NoReceiver | RawSocketFull | RawSocketRefused | DaemonDiscarded | GreShort
            | GreVersionUnknown | GreNoHandler | PptpBadHeader | PptpUnknownCall | PptpBacklog
            | PppLinkError => Self::Delivered,
            PptpNotConnected | PptpTruncated | PptpOldSequence => Self::Socket,
            PppNoUnit | PppBadProtocol => Self::Channel,
            PppReceiveError => Self::Unit,
            MppeShort | MppeTooLong | MppeBadBits | MppeLate | MppeDesynchronised | MppeStalled
            | PppNotOpen | PppInterfaceDown => Self::Interface,
            _ => return None,
        })
    }

    /// The same for a packet that is sent.
    pub const fn sent_before(reason: Reason) -> Option<Self> {
        use Reason::*;
        Some(match reason {
            PppNotSent => Self::Unit,
            PptpNotSent | NetfilterDrop | ConntrackFull | NoRoute | TooBig => Self::Channel,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_lie_behind_stages_of_their_own_way() {
        for reason in Reason::ALL {
            if let Some(stage) = Stage::received_before(*reason) {
                assert!(Stage::RECEIVED.contains(&stage), "{reason:?}");
            }
            if let Some(stage) = Stage::sent_before(*reason) {
                assert!(Stage::SENT.contains(&stage), "{reason:?}");
            }
        }
        assert_eq!(Stage::received_before(Reason::RawSocketClone), None, "nothing is lost");
        assert_eq!(Stage::received_before(Reason::MppePlaintext), None);
        assert_eq!(Stage::received_before(Reason::PptpAckOnly), None, "no user traffic");
    }
}
