//! Full raw sockets, where no packet is seen to be freed for it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::kernel::GreSocket;

/// What the raw sockets count, against what drop tracing has seen of it.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// Drops of each socket at the last look; those that were there before the agent are not its
    /// business.
    known: BTreeMap<u64, u64>,
    is_started: bool,
    /// By addresses of this host and the peer: counted by sockets, and seen as freed packets.
    counted: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
    pub(super) freed: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
    /// What of the difference was reported.
    extra: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
}

impl Sockets {
    /// Takes what the sockets count now.
    pub(super) fn look(&mut self, sockets: &[GreSocket]) {
        let mut known = BTreeMap::new();
        for socket in sockets {
            let before = match self.known.get(&socket.inode) {
                Some(before) => *before,
                None if self.is_started => 0,
                None => socket.drops,
            };
            let pair = (socket.local, socket.remote);
            *self.counted.entry(pair).or_default() += socket.drops.saturating_sub(before);
            known.insert(socket.inode, socket.drops);
        }
        self.known = known;
        self.is_started = true;
    }

    /// Whether there is, or was, a socket that takes what `source` sends to `destination`.
    pub(super) fn has(&self, source: Option<Ipv4Addr>, destination: Option<Ipv4Addr>) -> bool {
        let (Some(source), Some(destination)) = (source, destination) else { return false };
        self.counted.contains_key(&(destination, source))
    }

    /// Whether a socket has just refused what `source` sends to `destination`: more than was seen to be freed.
    pub(super) fn refuses(&self, source: Option<Ipv4Addr>, destination: Option<Ipv4Addr>) -> bool {
        let (Some(source), Some(destination)) = (source, destination) else { return false };
        let of = |sums: &BTreeMap<_, u64>| sums.get(&(destination, source)).copied().unwrap_or(0);
        of(&self.counted) > of(&self.freed)
    }

    /// What the sockets have counted more than was seen to be freed, since this was last asked: on
    /// kernels that free nothing there, all of it.
    pub(super) fn unseen(&mut self) -> Vec<((Ipv4Addr, Ipv4Addr), u64)> {
        let mut unseen = Vec::new();
        for (pair, counted) in &self.counted {
            let freed = self.freed.get(pair).copied().unwrap_or(0);
            let extra = self.extra.entry(*pair).or_default();
            let more = counted.saturating_sub(freed).saturating_sub(*extra);
            if more > 0 {
                *extra += more;
                unseen.push((*pair, more));
            }
        }
        unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(inode: u64, drops: u64) -> GreSocket {
        GreSocket { local: Ipv4Addr::new(10, 0, 0, 1), remote: Ipv4Addr::new(10, 0, 0, 2), inode, drops }
    }

    #[test]
    fn sockets_are_counted_from_where_the_agent_met_them() {
        let mut sockets = Sockets::default();
        sockets.look(&[socket(1, 100)]);
        assert!(sockets.unseen().is_empty(), "those before the agent are not its own");
        sockets.look(&[socket(1, 103), socket(2, 5)]);
        assert_eq!(sockets.unseen().first().map(|(_, count)| *count), Some(8));
        sockets.look(&[socket(2, 5)]);
        assert!(sockets.unseen().is_empty());
    }

    #[test]
    fn what_was_seen_to_be_freed_is_not_counted_twice() {
        let mut sockets = Sockets::default();
        sockets.look(&[socket(1, 0)]);
        sockets.look(&[socket(1, 10)]);
        let pair = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        assert!(sockets.refuses(Some(pair.1), Some(pair.0)) && !sockets.refuses(Some(pair.0), Some(pair.1)));
        // Freed packets are read after the sockets, so that there may be more of them.
        sockets.freed.insert(pair, 12);
        assert!(sockets.unseen().is_empty() && !sockets.refuses(Some(pair.1), Some(pair.0)));
        sockets.look(&[socket(1, 15)]);
        assert_eq!(sockets.unseen(), [(pair, 3)]);
    }
}
