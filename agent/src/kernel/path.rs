//! The path tier: its probes come and go with the modules that they look into.

mod counts;
mod plans;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use aya::Ebpf;
use aya::maps::{Array, MapData};
use aya::programs::kprobe::KProbeLinkId;
use aya::programs::raw_trace_point::RawTracePointLinkId;
use aya::programs::{KProbe, ProgramError, RawTracePoint};
use pptpscope_common::layout::{Layout, Text};
use tracing::{debug, info, warn};

use counts::Counts;
use plans::{MODULES, PLANS, Plan, Target};

use super::error::LoadError;
use super::layout::{self, Offsets};
use super::load::{Kernel, rejected, release_memory, take};
use super::symbols;

pub(super) use counts::{CALLS, DROPS, MAX_DROPS, UNITS};
pub use plans::probed_functions;

/// Globals of the programs.
pub(super) const NETNS: &str = "NETNS";
pub(super) const KFREE_SKB_ARGUMENTS: &str = "KFREE_SKB_ARGUMENTS";
pub(super) const OTHER_HOST: &str = "OTHER_HOST";

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
    /// It looks only while armed, because it fires for every packet.
    Idle,
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

/// What is found out before the programs are loaded, because it is fixed with them.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) netns: u32,
    pub(super) kfree_skb_arguments: u32,
    /// Number of the kernel's reason for a frame that is another host's; zero where it has none.
    pub(super) other_host: u32,
    kernel: layout::Kernel,
    offsets: Offsets,
    /// Why nothing is known of the kernel.
    blind: Option<String>,
}

impl Known {
    pub(super) fn of_running_kernel() -> Self {
        let mut offsets = Offsets::unknown();
        // Of this thread: /proc/self has the namespace of the first one.
        let netns = std::fs::metadata("/proc/thread-self/ns/net");
        let (kernel, blind) = match (offsets.resolve_kernel(), &netns) {
            (Ok(kernel), Ok(_)) => (kernel, None),
            (Err(error), _) => (layout::Kernel::default(), Some(error.to_string())),
            (_, Err(error)) => {
                (layout::Kernel::default(), Some(format!("cannot read /proc/thread-self/ns/net: {error}")))
            }
        };
        Self {
            // Inode numbers of namespaces have 32 bits (struct ns_common).
            netns: netns.ok().and_then(|netns| u32::try_from(netns.ino()).ok()).unwrap_or(0),
            // Two is what every kernel has.
            kfree_skb_arguments: kernel.kfree_skb_arguments.unwrap_or(2),
            other_host: kernel.drop_reason_number("SKB_DROP_REASON_OTHERHOST").unwrap_or(0),
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
    counts: Counts,
    /// Whether the probes that fire for every packet are wanted.
    is_armed: bool,
    /// Whether something changed that [`Kernel::refresh_path`] cannot see by the modules.
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
            counts: Counts::of(ebpf)?,
            is_armed: false,
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
        let texts = symbols::texts(&names);
        if texts.is_empty() {
            warn!(
                "the kernel hides where its modules are: drops inside PPP are counted only where a \
                 probe sees them. Run as root with CAP_SYSLOG"
            );
        }
        debug!(?names, ?texts, "where the code of the modules is");
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
        let lacking = self.known.offsets.lacking(plan.fields).map(ProbeState::Disabled);
        lacking.or_else(|| (plan.is_armed_only && !self.is_armed).then_some(ProbeState::Idle))
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
        Some(libc::EACCES | libc::EPERM) if super::privilege::probes_want_admin() => {
            format!("{text}: set kernel.perf_event_paranoid to 2, or grant CAP_SYS_ADMIN")
        }
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

    /// Attaches the probes that fire for every packet, or takes them away again. True when a probe
    /// changed its state.
    pub fn arm(&mut self, is_armed: bool) -> bool {
        self.path.is_armed = is_armed;
        self.path.is_fresh = true;
        self.refresh_path()
    }

    /// Whether a program is attached.
    pub fn is_attached(&self, program: &str) -> bool {
        let mut entries = PLANS.iter().zip(&self.path.entries);
        entries.any(|(plan, entry)| plan.program == program && entry.state == ProbeState::Attached)
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
        ProbeState::Idle => debug!(program, target, "idle until armed"),
        ProbeState::Waiting(module) => debug!(program, target, "waiting for module {module}"),
        ProbeState::Refused(why) => warn!(program, target, "probe refused: {why}"),
        ProbeState::Disabled(why) => warn!(program, target, "probe disabled: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let error = ProgramError::IOError(std::io::Error::from_raw_os_error(libc::ENOENT));
        assert!(refusal(error).contains("no such function"));
        let error = ProgramError::IOError(std::io::Error::from_raw_os_error(libc::EPERM));
        let said = refusal(error);
        assert!(said.contains("CAP_PERFMON") || said.contains("perf_event_paranoid"), "{said}");
    }
}
