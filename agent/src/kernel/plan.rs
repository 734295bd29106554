//! Which devices to watch: a pure decision over what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use super::devices::{Device, LinkLayer};

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The uplinks.
    #[default]
    Auto,
    /// These, whatever they are. One that does not exist yet is waited for.
    Named(BTreeSet<String>),
}

/// What is done with a device, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is watched.
    Watch {
        /// A watched device that sees the same packets, so that they are counted twice. Only by
        /// the user's own choice.
        twice_with: Option<String>,
    },
    /// The user named others.
    NotNamed,
    /// It has no IPv4 address, so no call ends here.
    NoAddress,
    /// It is the loopback device.
    Loopback,
    /// It is the inside of a call or of another tunnel.
    Inner,
    /// It is a VRF: the devices in it are watched.
    Vrf,
    /// Its packets begin with something that the programs do not know.
    UnknownLayer(u16),
    /// Its packets pass this watched device too and would be counted twice.
    Over(String),
}

/// The decision about one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// What is done with it.
    pub verdict: Verdict,
}

impl Choice {
    /// Whether it is watched.
    pub fn is_watched(&self) -> bool {
        matches!(self.verdict, Verdict::Watch { .. })
    }
}

/// Decides about every device, in the order of their indices. To be asked again after each change.
pub fn plan<'a>(devices: impl IntoIterator<Item = &'a Device>, wanted: &Wanted) -> Vec<Choice> {
    let devices: BTreeMap<u32, &Device> = devices.into_iter().map(|device| (device.index, device)).collect();
    let alone: BTreeMap<u32, Verdict> =
        devices.iter().map(|(index, device)| (*index, judge_alone(device, wanted))).collect();
    let mut below = Below { devices: &devices, watched: BTreeMap::new() };
    let choose = |(index, device): (&u32, &&Device)| {
        let mut verdict = alone[index].clone();
        if let Verdict::Watch { twice_with } = &mut verdict {
            let over = below.watched_below(*index, &alone, wanted);
            match wanted {
                Wanted::Auto => verdict = over.map_or(verdict, Verdict::Over),
                Wanted::Named(_) => *twice_with = over,
            }
        }
        Choice { index: *index, name: device.name.clone(), verdict }
    };
    devices.iter().map(choose).collect()
}

/// The decision without looking at the other devices.
fn judge_alone(device: &Device, wanted: &Wanted) -> Verdict {
    const WATCH: Verdict = Verdict::Watch { twice_with: None };
    if let Wanted::Named(names) = wanted {
        return if names.contains(&device.name) { WATCH } else { Verdict::NotNamed };
    }
    match device.layer {
        LinkLayer::Loopback => Verdict::Loopback,
        LinkLayer::Ppp => Verdict::Inner,
        LinkLayer::Other(hardware) => Verdict::UnknownLayer(hardware),
        LinkLayer::Ethernet | LinkLayer::Ip if device.is_vrf => Verdict::Vrf,
        LinkLayer::Ethernet | LinkLayer::Ip if device.addresses.is_empty() => Verdict::NoAddress,
        LinkLayer::Ethernet | LinkLayer::Ip => WATCH,
    }
}

/// The search downwards, towards the hardware.
struct Below<'a> {
    devices: &'a BTreeMap<u32, &'a Device>,
    /// Whether a device is watched in the end, for those that were asked about.
    watched: BTreeMap<u32, bool>,
}

impl Below<'_> {
    /// The name of a watched device that carries packets of `index`.
    fn watched_below(
        &mut self,
        index: u32,
        alone: &BTreeMap<u32, Verdict>,
        wanted: &Wanted,
    ) -> Option<String> {
        let mut seen = BTreeSet::from([index]);
        let mut queue = self.directly_below(index);
        while let Some(lower) = queue.pop() {
            // The kernel lets no device carry itself, but what we know may be half a change old.
            if !seen.insert(lower) {
                continue;
            }
            if self.is_watched(lower, alone, wanted)
                && let Some(device) = self.devices.get(&lower)
            {
                return Some(device.name.clone());
            }
            queue.extend(self.directly_below(lower));
        }
        None
    }

    fn is_watched(&mut self, index: u32, alone: &BTreeMap<u32, Verdict>, wanted: &Wanted) -> bool {
        if let Some(watched) = self.watched.get(&index) {
            return *watched;
        }
        let mut watched = matches!(alone.get(&index), Some(Verdict::Watch { .. }));
        // Ends a cycle; see above.
        self.watched.insert(index, watched);
        if watched && *wanted == Wanted::Auto {
            watched = self.watched_below(index, alone, wanted).is_none();
            self.watched.insert(index, watched);
        }
        watched
    }

    fn directly_below(&self, index: u32) -> Vec<u32> {
        let lower = self.devices.get(&index).and_then(|device| device.lower);
        let parts = self.devices.values().filter(|device| device.master == Some(index));
        lower.into_iter().chain(parts.map(|device| device.index)).collect()
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
