//! Loading the programs, and reading what they count.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, SchedClassifier, Xdp};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use pptpscope_common::{Account, Flow, FlowKey, Kind, PEER_KNOWN, RADIUS_PORTS, Refusal};

use super::attach::{Attached, TcMode};
use super::debug::{self, DebugLog};
use super::error::{LoadError, ReadError};
use super::inner::{self, InnerMaps};
use super::path::{self, Path};
use super::privilege;
use super::records::Records;
use super::ring_level::RingLevel;
use super::sources::{LimitedSource, Sources};

/// The compiled programs (agent/build.rs).
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pptpscope-ebpf"));

/// Names of the programs: see agent-ebpf/src/main.rs.
pub(super) const XDP: &str = "pptpscope_xdp";
pub(super) const TC_ETHERNET: [&str; 2] = ["pptpscope_in", "pptpscope_out"];
pub(super) const TC_BARE: [&str; 2] = ["pptpscope_in3", "pptpscope_out3"];
pub(super) const TC_INNER: [&str; 2] = ["pptpscope_pin", "pptpscope_pout"];
/// The program of the loopback device.
pub(super) const TC_LOOPBACK: &str = "pptpscope_lo";
/// Name of the global with the ports of RADIUS servers.
const RADIUS: &str = "RADIUS_SERVERS";
const RING: &str = "RING";
const RADIUS_RANGE: &str = "RADIUS_RANGE";

/// Lines of the verifier's log that an error shows.
const LOG_LINES: usize = 12;

/// Sizes of what the kernel keeps for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Calls that can be counted at the same time. Each takes two map entries of about 600 bytes,
    /// allocated at start.
    pub max_sessions: u32,
    /// Size of the ring, bytes; made a power of two of at least one page. The agent maps it twice,
    /// so that both count as its memory.
    pub ring_bytes: u32,
    /// Fragmented GRE packets whose later fragments can be recognised at the same time.
    pub fragment_entries: u32,
    /// UDP ports of RADIUS servers, at most [`RADIUS_PORTS`].
    pub radius_ports: Vec<u16>,
    /// How TC programs are attached.
    pub tc: TcMode,
    /// Whether the programs write debug records (see [`Kernel::debug_log`]).
    pub debug: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 4096,
            ring_bytes: 1 << 20,
            fragment_entries: 1024,
            radius_ports: crate::source::radius::PORTS.to_vec(),
            tc: TcMode::Auto,
            debug: false,
        }
    }
}

impl Config {
    /// The bounds keep every size that is computed from them below 4 GiB.
    fn check(&self) -> Result<(), LoadError> {
        let within = |name, value, minimum, maximum| {
            if (minimum..=maximum).contains(&value) {
                Ok(())
            } else {
                Err(LoadError::Size { name, value, minimum, maximum })
            }
        };
        within("max_sessions", self.max_sessions, 1, 1 << 20)?;
        within("ring_bytes", self.ring_bytes, 1, 1 << 28)?;
        within("fragment_entries", self.fragment_entries, 1, 1 << 20)
    }
}

/// What the kernel says of one of our programs while it measures them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRuns {
    /// The program.
    pub name: String,
    /// Times that it ran.
    pub count: u64,
    /// How long in all.
    pub time: Duration,
}

/// What watching takes in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Each program that ran; empty unless the kernel measures it (`kernel.bpf_stats_enabled`).
    pub programs: Vec<ProgramRuns>,
    /// How full the ring was; None where the kernel does not show it.
    pub ring: Option<RingLevel>,
    /// Bytes that the ring holds; zero where the kernel does not tell.
    pub ring_bytes: u64,
}

/// The programs in the kernel. Dropping it detaches and unloads everything.
pub struct Kernel {
    pub(super) attached: BTreeMap<u32, Attached>,
    pub(super) ebpf: Ebpf,
    pub(super) tc: TcMode,
    pub(super) path: Path,
    pub(super) inner: InnerMaps,
    sources: Sources,
    peers: HashMap<MapData, FlowKey, u32>,
    flows: HashMap<MapData, FlowKey, Flow>,
    accounts: PerCpuArray<MapData, Account>,
    refusals: PerCpuArray<MapData, u64>,
    ring: Option<RingBuf<MapData>>,
    ring_bytes: u64,
    max_flows: u32,
}

impl Kernel {
    /// What the programs have cost so far, and how full the ring of `records` was since it was asked last.
    pub fn measure(&self, records: &mut Records) -> Load {
        let programs = self.ebpf.programs().filter_map(|(name, program)| {
            let info = program.info().ok()?;
            let (name, count, time) = (name.to_owned(), info.run_count(), info.run_time());
            (count > 0).then_some(ProgramRuns { name, count, time })
        });
        Load { programs: programs.collect(), ring: records.take_level(), ring_bytes: self.ring_bytes }
    }

    /// Loads all programs, attached to nothing yet.
    ///
    /// # Errors
    /// See [`LoadError`]; nothing stays in the kernel then.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        config.check()?;
        privilege::check()?;
        raise_memlock()?;
        let max_flows = config.max_sessions * 2;
        let level = u8::from(config.debug) * debug::LEVEL;
        let log_bytes = if config.debug { debug::RING_BYTES } else { 1 };
        let mut radius_ports = [0u16; RADIUS_PORTS];
        for (slot, port) in radius_ports.iter_mut().zip(&config.radius_ports) {
            *slot = *port;
        }
        let used = radius_ports.iter().filter(|port| **port != 0);
        let radius_range =
            [used.clone().min().copied().unwrap_or(u16::MAX), used.max().copied().unwrap_or(0)];
        let known = path::Known::of_running_kernel();
        let mut ebpf = EbpfLoader::new()
            // No program needs relocation against the kernel's types.
            .btf(None)
            .override_global(aya_log::LEVEL, &level, true)
            .override_global(RADIUS, &radius_ports, true)
            .override_global(RADIUS_RANGE, &radius_range, true)
            .override_global(path::NETNS, &known.netns, true)
            .override_global(path::KFREE_SKB_ARGUMENTS, &known.kfree_skb_arguments, true)
            .override_global(path::OTHER_HOST, &known.other_host, true)
            .map_max_entries(path::DROPS, path::MAX_DROPS)
            .map_max_entries(path::UNITS, config.max_sessions)
            .map_max_entries(path::CALLS, config.max_sessions)
            .map_max_entries(debug::MAP, log_bytes)
            .map_max_entries("FLOWS", max_flows)
            .map_max_entries("PEERS", max_flows)
            .map_max_entries(inner::INNER, max_flows)
            .map_max_entries(inner::MTUS, config.max_sessions)
            .map_max_entries("FRAGMENTS", config.fragment_entries)
            .map_max_entries(RING, config.ring_bytes)
            .load(OBJECT)
            .map_err(LoadError::Object)?;
        load_programs(&mut ebpf)?;
        // Aya made a size of it that the kernel takes.
        let ring_bytes = match ebpf.map(RING) {
            Some(Map::RingBuf(map)) => map.info().map_or(0, |info| u64::from(info.max_entries())),
            _ => 0,
        };
        let mut kernel = Self {
            path: Path::new(&mut ebpf, known)?,
            inner: InnerMaps::new(&mut ebpf)?,
            sources: Sources::new(&mut ebpf)?,
            peers: take(&mut ebpf, "PEERS")?,
            flows: take(&mut ebpf, "FLOWS")?,
            accounts: take(&mut ebpf, "ACCOUNTS")?,
            refusals: take(&mut ebpf, "REFUSALS")?,
            ring: Some(take(&mut ebpf, RING)?),
            attached: BTreeMap::new(),
            tc: config.tc,
            ebpf,
            ring_bytes,
            max_flows,
        };
        kernel.refresh_path();
        release_memory();
        Ok(kernel)
    }

    /// The records of the programs; None when they were taken before. Needs a tokio runtime.
    ///
    /// # Errors
    /// The ring cannot be waited for.
    pub fn records(&mut self) -> io::Result<Option<Records>> {
        self.ring.take().map(Records::new).transpose()
    }

    /// The debug records of the programs; None when they were taken before or
    /// [`Config::debug`] is off. Needs a tokio runtime.
    ///
    /// # Errors
    /// The ring cannot be waited for.
    pub fn debug_log(&mut self) -> io::Result<Option<DebugLog>> {
        DebugLog::new(&mut self.ebpf)
    }

    /// Every flow and its counters now. A flow that opens or ends meanwhile may be missing.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn flows(&self) -> Result<Vec<(FlowKey, Flow)>, ReadError> {
        // The map can change while it is walked; what was removed is skipped, and no walk is
        // longer than the map is large.
        self.flows
            .iter()
            .take(self.max_flows as usize)
            .filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)))
            .collect::<Result<_, _>>()
            .map_err(|source| ReadError { name: "FLOWS", source })
    }

    /// The counters of one flow now; None when it is not there.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<Flow>, ReadError> {
        match self.flows.get(key, 0) {
            Ok(flow) => Ok(Some(flow)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(ReadError { name: "FLOWS", source }),
        }
    }

    /// Tells the programs that two flows are the directions of one call.
    ///
    /// # Errors
    /// The kernel refuses to change the map.
    pub fn pair(&mut self, one: &FlowKey, other: &FlowKey) -> Result<(), ReadError> {
        for (from, to) in [(one, other), (other, one)] {
            let key = FlowKey { direction: 0, ..*from };
            self.peers
                .insert(key, PEER_KNOWN | u32::from(to.call_id), 0)
                .map_err(|source| ReadError { name: "PEERS", source })?;
        }
        Ok(())
    }

    /// Remote addresses with packets beyond their limit, and how many since the last time.
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn limited_sources(&mut self) -> Result<Vec<LimitedSource>, ReadError> {
        self.sources.limited()
    }

    /// Flows that fit: two per call.
    pub fn max_flows(&self) -> u32 {
        self.max_flows
    }

    /// Forgets a flow, so that its call id can be used by the next call. None is no error.
    ///
    /// # Errors
    /// The kernel refuses to change the map.
    pub fn remove_flow(&mut self, key: &FlowKey) -> Result<(), ReadError> {
        match self.flows.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => {
                Ok(())
            }
            Err(source) => Err(ReadError { name: "FLOWS", source }),
        }
    }

    /// The accounting of the ring, in the order of [`Kind::ALL`].
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn accounts(&self) -> Result<[Account; Kind::ALL.len()], ReadError> {
        let mut sums = [Account::default(); Kind::ALL.len()];
        for (kind, sum) in Kind::ALL.into_iter().zip(&mut sums) {
            let per_cpu = self
                .accounts
                .get(&(kind as u32), 0)
                .map_err(|source| ReadError { name: "ACCOUNTS", source })?;
            for account in per_cpu.iter() {
                sum.seen += account.seen;
                sum.submitted += account.submitted;
                sum.ring_full += account.ring_full;
                sum.suppressed += account.suppressed;
                sum.truncated += account.truncated;
            }
        }
        Ok(sums)
    }

    /// Packets of protocol 47 that belong to no call, in the order of [`Refusal::ALL`].
    ///
    /// # Errors
    /// The kernel refuses to read the map.
    pub fn refusals(&self) -> Result<[u64; Refusal::ALL.len()], ReadError> {
        let mut sums = [0; Refusal::ALL.len()];
        for (refusal, sum) in Refusal::ALL.into_iter().zip(&mut sums) {
            let per_cpu = self
                .refusals
                .get(&(refusal as u32), 0)
                .map_err(|source| ReadError { name: "REFUSALS", source })?;
            *sum = per_cpu.iter().sum();
        }
        Ok(sums)
    }
}

fn load_programs(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let program = ebpf.program_mut(XDP).ok_or(LoadError::Missing { name: XDP })?;
    <&mut Xdp>::try_from(program).and_then(Xdp::load).map_err(|error| rejected(XDP, error))?;
    for name in TC_ETHERNET.into_iter().chain(TC_BARE).chain(TC_INNER).chain([TC_LOOPBACK]) {
        let program = ebpf.program_mut(name).ok_or(LoadError::Missing { name })?;
        <&mut SchedClassifier>::try_from(program)
            .and_then(SchedClassifier::load)
            .map_err(|error| rejected(name, error))?;
    }
    Ok(())
}

/// What is wrong with a program that was not loaded.
pub(super) fn rejected(name: &'static str, error: ProgramError) -> LoadError {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<_> = log.lines().collect();
            let log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            LoadError::Rejected { name, reason: io_error, log }
        }
        source => LoadError::Program { name, source },
    }
}

pub(super) fn take<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Missing { name })?;
    M::try_from(map).map_err(|source| LoadError::Map { name, source })
}

/// Before 5.11 the memory of maps and programs was locked memory of the process
/// (kernel commit 80ee81e0403c); later it belongs to the control group.
pub(super) fn raise_memlock() -> Result<(), LoadError> {
    let charged = KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(5, 11, 0));
    if !charged {
        return Ok(());
    }
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: reads one rlimit from a valid pointer.
    match unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &unlimited) } {
        0 => Ok(()),
        _ => Err(LoadError::Memlock(io::Error::last_os_error())),
    }
}

/// Gives the memory of loading back: aya parses the kernel's whole BTF, 20 MB, even when it is not
/// asked to use it, and the allocator of glibc would keep that.
pub(super) fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod object_tests;
