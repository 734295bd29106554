//! Packets that the capture holds twice although they were on the wire once.
//!
//! A packet that passes two interfaces of the capturing host (`any`), or two points whose captures
//! are merged, is recorded at each; a mirror port may record every packet on its way in and out. In
//! the counters of a call such copies would look like duplicates of the network, which are real and
//! must be counted. What tells them apart:
//!
//! * *Another link.* The same IPv4 packet, seen again within a second by another interface, in
//!   another file, between other stations (MAC addresses), or with another TTL is a copy: the link
//!   that saw it first is followed. A network that duplicates a packet does so on one link, where
//!   both are the same.
//! * *All of them.* Where nearly every packet from one address to another shows exactly twice
//!   within a millisecond, link and all, that is a mirror port. The first 64 KiB of a file decide.
//!
//! "The same" means: equal in addresses, identification, fragment offset, lengths and the first 48
//! bytes of the payload, which hold the GRE sequence number and 32 bytes of encrypted data.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::ip::Datagram;
use crate::time::Timestamp;

/// What to do with copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Copies {
    /// Leave out those of other links, and of mirror ports where nearly all packets are doubled.
    #[default]
    Auto,
    /// Leave out every packet that was seen within the last millisecond, also on the same link. Takes
    /// duplicates of the network for copies.
    Drop,
    /// Count everything.
    Keep,
}

/// How long after the first sighting on one link another link may show the packet.
const OTHER_LINK_NS: u64 = 1_000_000_000;
/// How long after the first sighting a mirror port shows the packet again.
const MIRROR_NS: u64 = 1_000_000;
/// Sightings remembered: a power of two.
const REMEMBERED: usize = 8192;
/// Bytes of the payload that are compared.
const COMPARED: usize = 48;
/// Packets from one address to another that a judgement about a mirror port needs.
const MIRROR_LEAST: u32 = 4;

/// A packet's identity, and where it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sighting {
    packet: u64,
    link: u64,
}

impl Sighting {
    /// `link` names interface, file and stations.
    #[inline]
    pub(super) fn of(datagram: &Datagram<'_>, link: u64) -> Self {
        let bytes = datagram.bytes;
        let word = |at: usize| {
            bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk::<8>())
                .map_or(0, |word| u64::from_le_bytes(*word))
        };
        // Not type of service, TTL and checksum, which routers change.
        let mut packet = mix(word(2) & 0x0000_ffff_ffff_ffff, word(12));
        let payload = bytes.get(datagram.header..).unwrap_or_default();
        let mut words = payload.get(..COMPARED).unwrap_or(payload).chunks_exact(8);
        for eight in &mut words {
            packet = mix(packet, u64::from_le_bytes(*eight.first_chunk().unwrap_or(&[0; 8])));
        }
        for byte in words.remainder() {
            packet = mix(packet, u64::from(*byte) + 1);
        }
        let ttl = bytes.get(8).copied().unwrap_or(0);
        Self { packet, link: mix(link, u64::from(ttl)) }
    }
}

/// Folds a product: enough to tell packets of a capture apart, and the same on every run.
#[inline]
fn mix(one: u64, other: u64) -> u64 {
    let product =
        u128::from(one ^ 0x243f_6a88_85a3_08d3) * u128::from(other.rotate_left(29) ^ 0x1319_8a2e_0370_7344);
    (product as u64) ^ ((product >> 64) as u64) ^ one.rotate_left(17)
}

/// Names a link: the same number for the same file, interface and stations.
#[inline]
pub(super) fn link(file: usize, interface: u32, addresses: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(addresses);
    mix(hasher.finish(), (file as u64) << 32 | u64::from(interface))
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sighting: Sighting,
    at: Timestamp,
}

/// Knows the packets of the last moments.
#[derive(Debug)]
pub(super) struct Detector {
    mode: Copies,
    seen: Box<[Seen]>,
    /// From where to where a mirror port doubles everything.
    mirrored: Vec<([u8; 4], [u8; 4])>,
}

impl Detector {
    pub(super) fn new(mode: Copies) -> Self {
        Self { mode, seen: vec![Seen::default(); REMEMBERED].into(), mirrored: Vec::new() }
    }

    /// Whether the packet is a copy of an earlier one.
    #[inline]
    pub(super) fn is_copy(&mut self, at: Timestamp, datagram: &Datagram<'_>, link: u64) -> bool {
        if self.mode == Copies::Keep {
            return false;
        }
        let sighting = Sighting::of(datagram, link);
        let slot = sighting.packet as usize % REMEMBERED;
        let Some(seen) = self.seen.get_mut(slot) else { return false };
        let known = *seen;
        let age = at.ns_since(known.at).max(known.at.ns_since(at));
        if known.sighting.packet == sighting.packet
            && age <= OTHER_LINK_NS
            && known.at != Timestamp::default()
        {
            if known.sighting.link != sighting.link {
                return true;
            }
            let ends = (datagram.source, datagram.destination);
            if age <= MIRROR_NS && (self.mode == Copies::Drop || self.mirrored.contains(&ends)) {
                // A third sighting would be a duplicate of the network, seen for the first time.
                seen.at = Timestamp::default();
                return true;
            }
        }
        *seen = Seen { sighting, at };
        false
    }

    /// Takes up what a look ahead has found.
    pub(super) fn learn(&mut self, census: &Census) {
        self.mirrored.extend(census.mirrored());
    }
}

/// Counts the packets at the beginning of a file.
#[derive(Debug, Default)]
pub(super) struct Census {
    packets: HashMap<Sighting, (u32, Timestamp), FixedState>,
    ends: HashMap<([u8; 4], [u8; 4]), Vec<Sighting>, FixedState>,
}

impl std::hash::Hash for Sighting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.packet ^ self.link);
    }
}

impl Census {
    pub(super) fn see(&mut self, at: Timestamp, datagram: &Datagram<'_>, link: u64) {
        let sighting = Sighting::of(datagram, link);
        let (count, first) = self.packets.entry(sighting).or_insert((0, at));
        if at.ns_since(*first) <= MIRROR_NS {
            *count += 1;
        }
        if *count == 1 {
            self.ends.entry((datagram.source, datagram.destination)).or_default().push(sighting);
        }
    }

    fn mirrored(&self) -> impl Iterator<Item = ([u8; 4], [u8; 4])> {
        self.ends
            .iter()
            .filter(|(_, packets)| {
                let twice =
                    packets.iter().filter(|packet| self.packets.get(packet).is_some_and(|(n, _)| *n == 2));
                let (all, twice) = (packets.len() as u32, twice.count() as u32);
                // The look ahead may end between a packet and its copy.
                all >= MIRROR_LEAST && twice * 10 >= (all - 1) * 9
            })
            .map(|(ends, _)| *ends)
    }
}
