//! The path tier: its probes, which come and go with the modules that they look into, and what they
//! count.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use aya::programs::kprobe::KProbeLinkId;
use aya::programs::raw_trace_point::RawTracePointLinkId;
use aya::programs::{KProbe, ProgramError, RawTracePoint};
use pptpscope_common::drop::{DropCount, DropKey};
use pptpscope_common::layout::{Field, Layout, Text};
use tracing::{debug, info, warn};

use super::error::{LoadError, ReadError};
use super::layout::{self, Offsets};
use super::load::{Kernel, rejected, release_memory, take};
use super::symbols;

/// Globals of the programs.
pub(super) const NETNS: &str = "NETNS";
pub(super) const KFREE_SKB_ARGUMENTS: &str = "KFREE_SKB_ARGUMENTS";

/// Map of the counts, and entries that it holds: one for each call, reason and place.
pub(super) const DROPS: &str = "DROPS";
pub(super) const MAX_DROPS: u32 = 8192;

/// Modules that carry calls. Their functions are watched in `skb:kfree_skb`.
const MODULES: [&str; 7] = ["gre", "pptp", "pppox", "ppp_generic", "ppp_async", "ppp_synctty", "ppp_mppe"];

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A raw tracepoint.
    Tracepoint(&'static str),
    /// The entry of a function of the kernel itself.
    Kernel(&'static str),
    /// The entry of a function of the module that the probe needs.
    Module(&'static str),
}

/// One program of the path tier.
struct Plan {
    program: &'static str,
    target: Target,
    /// Module without which it is not attached.
    module: Option<&'static str>,
    /// Fields without which it cannot judge.
    fields: &'static [Field],
}

/// Fields by which a packet is recognised.
const PACKET: [Field; 5] = [
    Field::SkBuffDev,
    Field::SkBuffProtocol,
    Field::SkBuffNetworkHeader,
    Field::SkBuffHead,
    Field::SkBuffData,
];
/// Fields by which a device is.
const DEVICE: [Field; 4] =
    [Field::NetDeviceIfindex, Field::NetDeviceType, Field::NetDeviceNet, Field::NetInum];

/// Joins lists of fields at compile time.
const fn join<const N: usize>(lists: &[&[Field]]) -> [Field; N] {
    let mut all = [Field::SkBuffDev; N];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            all[at] = lists[list][index];
            at += 1;
            index += 1;
        }
        list += 1;
    }
    all
}

const KFREE: [Field; 12] = join(&[&PACKET, &DEVICE, &[Field::SkBuffSk, Field::SkBuffRefdst, Field::SockNet]]);
const RECEIVE: [Field; 10] = join(&[&PACKET, &DEVICE, &[Field::SkBuffLen]]);
const CORE: [Field; 11] = join(&[
    &PACKET,
    &[
        Field::SkBuffLen,
        Field::NetInum,
        Field::SockNet,
        Field::SockState,
        Field::PppoxSockProto,
        Field::PptpOptSeqRecv,
    ],
]);
const CHANNEL: [Field; 9] = join(&[
    &DEVICE,
    &[
        Field::NetDeviceSize,
        Field::PppChannelChannel,
        Field::ChannelKind,
        Field::ChannelNet,
        Field::ChannelUnit,
    ],
]);
const INPUT: [Field; 12] = join(&[&CHANNEL, &[Field::SkBuffData, Field::SkBuffLen, Field::ChannelQueue]]);
const FRAME: [Field; 12] = join(&[
    &DEVICE,
    &[
        Field::NetDeviceSize,
        Field::NetDeviceFlags,
        Field::SkBuffData,
        Field::PppKind,
        Field::PppQueue,
        Field::PppFlags,
        Field::PppRstate,
        Field::PppNpmode,
    ],
]);

/// All of them. The order is that in which they are attached: what finds out first, then what counts
/// by it, so that no packet is counted without its verdict.
const PLANS: [Plan; 12] = [
    plan("path_raw_rcv", Target::Kernel("raw_rcv"), Some("gre"), &[Field::SkBuffHead]),
    plan("path_gre_rcv", Target::Module("gre_rcv"), Some("gre"), &RECEIVE),
    plan("path_pptp_rcv", Target::Module("pptp_rcv"), Some("pptp"), &RECEIVE),
    plan("path_pptp_core", Target::Module("pptp_rcv_core"), Some("pptp"), &CORE),
    plan("path_pptp_xmit", Target::Module("pptp_xmit"), Some("pptp"), &CHANNEL),
    plan("path_ppp_input", Target::Module("ppp_input"), Some("ppp_generic"), &INPUT),
    plan("path_ppp_error", Target::Module("ppp_input_error"), Some("ppp_generic"), &CHANNEL),
    plan("path_ppp_frame", Target::Module("ppp_receive_nonmp_frame"), Some("ppp_generic"), &FRAME),
    plan(
        "path_mppe_in",
        Target::Module("mppe_decompress"),
        Some("ppp_mppe"),
        &[Field::MppeCcount, Field::MppeStateful, Field::MppeDiscard],
    ),
    plan("path_mppe_reset", Target::Module("mppe_decomp_reset"), Some("ppp_mppe"), &[]),
    plan("path_icmp_error", Target::Kernel("raw_icmp_error"), None, &RECEIVE),
    plan("path_kfree_skb", Target::Tracepoint("kfree_skb"), None, &KFREE),
];

const fn plan(
    program: &'static str,
    target: Target,
    module: Option<&'static str>,
    fields: &'static [Field],
) -> Plan {
    Plan { program, target, module, fields }
}

/// Whether a probe looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// It looks.
    Attached,
    /// It will once this module is loaded.
    Waiting(&'static str),
    /// The kernel refused it.
    Refused(String),
    /// It would read something that this kernel does not have, or does not show.
    Disabled(String),
}

/// A probe, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Name of the program.
    pub program: &'static str,
    /// Tracepoint or function, with its module.
    pub target: String,
    /// Whether it looks.
    pub state: ProbeState,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint(name) => write!(formatter, "skb:{name}"),
            Self::Kernel(name) | Self::Module(name) => formatter.write_str(name),
        }
    }
}

/// What is found out before the programs are loaded, because it is fixed with them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) netns: u32,
    pub(super) kfree_skb_arguments: u32,
    kernel: layout::Kernel,
    offsets: Offsets,
    /// Why nothing is known of the kernel.
    blind: Option<String>,
}

impl Known {
    pub(super) fn of_running_kernel() -> Self {
        let mut offsets = Offsets::unknown();
        let netns = std::fs::metadata("/proc/self/ns/net");
        let (kernel, blind) = match (offsets.resolve_kernel(), &netns) {
            (Ok(kernel), Ok(_)) => (kernel, None),
            (Err(error), _) => (layout::Kernel::default(), Some(error.to_string())),
            (_, Err(error)) => {
                (layout::Kernel::default(), Some(format!("cannot read /proc/self/ns/net: {error}")))
            }
        };
        Self {
            // Inode numbers of namespaces have 32 bits (struct ns_common).
            netns: netns.ok().and_then(|netns| u32::try_from(netns.ino()).ok()).unwrap_or(0),
            // Two is what every kernel has.
            kfree_skb_arguments: kernel.kfree_skb_arguments.unwrap_or(2),
            kernel,
            offsets,
            blind,
        }
    }
}

/// What keeps a program at its place; dropping it does not detach.
enum Link {
    Kprobe(KProbeLinkId),
    Tracepoint(RawTracePointLinkId),
}

struct Entry {
    state: ProbeState,
    link: Option<Link>,
    is_loaded: bool,
}

/// A module that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Module {
    /// Differs from that of the same module loaded another time.
    generation: u64,
    is_built_in: bool,
}

/// The path tier in the kernel.
pub(super) struct Path {
    known: Known,
    modules: BTreeMap<&'static str, Module>,
    /// In the order of [`PLANS`].
    entries: Vec<Entry>,
    layout: Array<MapData, Layout>,
    drops: HashMap<MapData, DropKey, DropCount>,
    unbooked: PerCpuArray<MapData, u64>,
    is_fresh: bool,
}

impl Path {
    pub(super) fn new(ebpf: &mut Ebpf, known: Known) -> Result<Self, LoadError> {
        if let Some(why) = &known.blind {
            warn!("losses inside this host are not seen: {why}");
        }
        let blind = known.blind.clone().unwrap_or_default();
        let entry =
            |_: &Plan| Entry { state: ProbeState::Disabled(blind.clone()), link: None, is_loaded: false };
        Ok(Self {
            known,
            modules: BTreeMap::new(),
            entries: PLANS.iter().map(entry).collect(),
            layout: take(ebpf, "LAYOUT")?,
            drops: take(ebpf, DROPS)?,
            unbooked: take(ebpf, "UNBOOKED")?,
            is_fresh: true,
        })
    }

    /// Takes note of modules that came or went, and returns those. None when nothing is new.
    fn follow_modules(&mut self) -> Option<Vec<&'static str>> {
        let now: BTreeMap<_, _> =
            MODULES.into_iter().filter_map(|name| Some((name, loaded(name)?))).collect();
        if now == self.modules && !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let changed: Vec<_> =
            MODULES.into_iter().filter(|name| now.get(name) != self.modules.get(name)).collect();
        for module in &changed {
            self.known.offsets.forget(module);
        }
        let come: Vec<_> =
            changed.iter().filter_map(|name| Some((*name, now.get(name)?.is_built_in))).collect();
        if !come.is_empty() {
            self.known.offsets.resolve_modules(&come);
        }
        self.modules = now;
        self.place_texts();
        Some(changed)
    }

    /// Writes down where the functions of the modules lie.
    fn place_texts(&mut self) {
        let layout = &mut self.known.offsets.layout;
        layout.texts = Default::default();
        layout.span = Text::default();
        let names: Vec<_> = self.modules.keys().copied().collect();
        if names.is_empty() {
            return;
        }
        let texts: Vec<Text> = names.into_iter().filter_map(symbols::text).collect();
        if texts.is_empty() {
            warn!(
                "the kernel hides where its modules are: drops inside PPP are counted only where a \
                 probe sees them. Run as root with CAP_SYSLOG"
            );
        }
        for (slot, text) in layout.texts.iter_mut().zip(&texts) {
            *slot = *text;
        }
        let start = texts.iter().map(|text| text.start).min().unwrap_or(0);
        let end = texts.iter().map(|text| text.end).max().unwrap_or(0);
        layout.span = Text { start, end };
    }

    /// What is in the way of a probe; None when nothing is.
    fn obstacle(&self, plan: &Plan) -> Option<ProbeState> {
        if let Some(module) = plan.module.filter(|module| !self.modules.contains_key(module)) {
            return Some(ProbeState::Waiting(module));
        }
        self.known.offsets.lacking(plan.fields).map(ProbeState::Disabled)
    }

    /// The name by which the kernel finds a function: in a module it needs that of the module, for
    /// other modules have functions of the same name.
    fn symbol(&self, plan: &Plan, function: &str) -> String {
        match plan.module {
            Some(module) if self.modules.get(module).is_some_and(|module| !module.is_built_in) => {
                format!("{module}:{function}")
            }
            _ => function.to_owned(),
        }
    }

    fn target(&self, plan: &Plan) -> String {
        match (plan.target, plan.module) {
            (Target::Module(function), Some(module)) => format!("{module}:{function}"),
            (target, _) => target.to_string(),
        }
    }

    fn attach(&mut self, ebpf: &mut Ebpf, index: usize) -> Result<Link, String> {
        let plan = &PLANS[index];
        let name = plan.program;
        let program = ebpf.program_mut(name).ok_or(LoadError::Missing { name }).map_err(describe)?;
        let is_loaded = std::mem::replace(&mut self.entries[index].is_loaded, true);
        let loaded = |error| describe(rejected(name, error));
        match plan.target {
            Target::Tracepoint(tracepoint) => {
                let program: &mut RawTracePoint = program.try_into().map_err(loaded)?;
                if !is_loaded {
                    program.load().map_err(loaded)?;
                }
                program.attach(tracepoint).map(Link::Tracepoint).map_err(refusal)
            }
            Target::Kernel(function) | Target::Module(function) => {
                let symbol = match plan.target {
                    Target::Module(_) => self.symbol(plan, function),
                    _ => function.to_owned(),
                };
                let program: &mut KProbe = program.try_into().map_err(loaded)?;
                if !is_loaded {
                    program.load().map_err(loaded)?;
                }
                program.attach(symbol, 0).map(Link::Kprobe).map_err(refusal)
            }
        }
    }
}

/// A module, if it is loaded and has finished its own start.
fn loaded(name: &str) -> Option<Module> {
    let folder = PathBuf::from("/sys/module").join(name);
    let generation = std::fs::metadata(&folder).ok()?.ino();
    match std::fs::read_to_string(folder.join("initstate")) {
        Ok(state) if state.trim() == "live" => Some(Module { generation, is_built_in: false }),
        Ok(_) => None,
        // What is part of the kernel has no such file.
        Err(_) => Some(Module { generation, is_built_in: true }),
    }
}

fn describe(error: LoadError) -> String {
    error.to_string()
}

/// What the kernel says to an attachment, in words.
fn refusal(error: ProgramError) -> String {
    let said = match &error {
        ProgramError::SyscallError(error) => Some(&error.io_error),
        ProgramError::IOError(error) => Some(error),
        _ => None,
    };
    let text = said.map_or_else(|| error.to_string(), ToString::to_string);
    match said.and_then(std::io::Error::raw_os_error) {
        Some(libc::ENOENT) => format!("{text}: this kernel has no such function, or no kprobes"),
        Some(libc::EADDRNOTAVAIL) => format!("{text}: several functions have this name"),
        Some(libc::EACCES | libc::EPERM) => format!("{text}: grant CAP_PERFMON"),
        _ => text,
    }
}

impl Kernel {
    /// Follows modules that came or went: attaches what can be attached now, and lets go of what
    /// looked into a module that is gone. True when a probe changed its state.
    pub fn refresh_path(&mut self) -> bool {
        let Self { path, ebpf, .. } = self;
        if path.known.blind.is_some() {
            return false;
        }
        let Some(moved) = path.follow_modules() else { return false };
        if let Err(error) = path.layout.set(0, path.known.offsets.layout, 0) {
            warn!("cannot tell the path programs where the fields of the kernel are: {error}");
            return false;
        }
        let mut changed = false;
        debug!(modules = ?moved, "modules came or went");
        for (index, plan) in PLANS.iter().enumerate() {
            let obstacle = path.obstacle(plan);
            let is_dead = matches!(plan.target, Target::Module(_))
                && plan.module.is_some_and(|module| moved.contains(&module));
            if path.entries[index].link.is_some() && (obstacle.is_some() || is_dead) {
                // A probe of a module that was unloaded is dead even if the module is back.
                detach(ebpf, plan.program, path.entries[index].link.take());
            }
            let state = match obstacle {
                Some(obstacle) => obstacle,
                None if path.entries[index].link.is_some() => ProbeState::Attached,
                None => match path.attach(ebpf, index) {
                    Ok(link) => {
                        path.entries[index].link = Some(link);
                        ProbeState::Attached
                    }
                    Err(why) => ProbeState::Refused(why),
                },
            };
            if state != path.entries[index].state {
                report(plan, &path.target(plan), &state);
                changed = true;
            }
            path.entries[index].state = state;
        }
        release_memory();
        changed
    }

    /// Detaches the path tier; its counts stay readable.
    pub fn detach_path(&mut self) {
        let Self { path, ebpf, .. } = self;
        for (plan, entry) in PLANS.iter().zip(&mut path.entries) {
            detach(ebpf, plan.program, entry.link.take());
        }
    }

    /// The probes and their states.
    pub fn probes(&self) -> Vec<Probe> {
        let entries = PLANS.iter().zip(&self.path.entries);
        entries
            .map(|(plan, entry)| Probe {
                program: plan.program,
                target: self.path.target(plan),
                state: entry.state.clone(),
            })
            .collect()
    }

    /// What was dropped since the start, and how often.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn drops(&self) -> Result<Vec<(DropKey, DropCount)>, ReadError> {
        self.path
            .drops
            .iter()
            .take(MAX_DROPS as usize)
            .filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)))
            .collect::<Result<_, _>>()
            .map_err(|source| ReadError { name: DROPS, source })
    }

    /// Forgets an entry that nothing is added to any more.
    pub fn remove_drop(&mut self, key: &DropKey) {
        // One that is gone already is as good.
        let _ = self.path.drops.remove(key);
    }

    /// Entries that fit.
    pub fn max_drops(&self) -> u64 {
        MAX_DROPS.into()
    }

    /// Drops that were not counted because there was no room.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn drops_unbooked(&self) -> Result<u64, ReadError> {
        let per_cpu =
            self.path.unbooked.get(&0, 0).map_err(|source| ReadError { name: "UNBOOKED", source })?;
        Ok(per_cpu.iter().sum())
    }

    /// The name of one of the kernel's own drop reasons, without its prefix.
    pub fn drop_reason(&self, number: u32) -> Option<&str> {
        let name = self.path.known.kernel.drop_reasons.get(&number)?;
        Some(name.strip_prefix("SKB_DROP_REASON_").or_else(|| name.strip_prefix("SKB_")).unwrap_or(name))
    }
}

fn detach(ebpf: &mut Ebpf, name: &'static str, link: Option<Link>) {
    let Some(program) = ebpf.program_mut(name) else { return };
    // What cannot be detached is gone already, with its module.
    let _ = match link {
        Some(Link::Kprobe(link)) => <&mut KProbe>::try_from(program).and_then(|program| program.detach(link)),
        Some(Link::Tracepoint(link)) => {
            <&mut RawTracePoint>::try_from(program).and_then(|program| program.detach(link))
        }
        None => Ok(()),
    };
}

fn report(plan: &Plan, target: &str, state: &ProbeState) {
    let program = plan.program;
    match state {
        ProbeState::Attached => info!(program, target, "probe attached"),
        ProbeState::Waiting(module) => debug!(program, target, "waiting for module {module}"),
        ProbeState::Refused(why) => warn!(program, target, "probe refused: {why}"),
        ProbeState::Disabled(why) => warn!(program, target, "probe disabled: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_names_a_program_and_no_field_twice() {
        for plan in &PLANS {
            assert!(plan.program.len() <= 15, "{} is cut by the kernel", plan.program);
            for (index, field) in plan.fields.iter().enumerate() {
                assert!(!plan.fields[..index].contains(field), "{}: {field:?} twice", plan.program);
            }
            let modules = plan.fields.iter().map(|field| field.module());
            for module in modules.filter(|module| *module != super::super::btf::VMLINUX) {
                let provided =
                    plan.module == Some(module) || (plan.module, module) == (Some("pptp"), "ppp_generic");
                assert!(provided, "{} reads a field of {module}", plan.program);
            }
        }
        assert!(MODULES.len() <= pptpscope_common::layout::TEXTS);
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let error = ProgramError::IOError(std::io::Error::from_raw_os_error(libc::ENOENT));
        assert!(refusal(error).contains("no such function"));
        let error = ProgramError::IOError(std::io::Error::from_raw_os_error(libc::EPERM));
        assert!(refusal(error).contains("CAP_PERFMON"));
    }
}
