//! What a packet costs in each kernel program, next to a program that does nothing.
//!
//! Run by `cargo xtask bench kernel`, as root. Nothing is attached to a device: the kernel's
//! `BPF_PROG_TEST_RUN` hands packets to the loaded programs, and the agent's own counters must then
//! say exactly what was handed in.

mod bpf;
mod classes;
#[path = "../../tests/native/frame.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod frame;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use bpf::{Counter, Kind, Map};
use clap::Parser;
use classes::{Class, Goal, Leaves, REPEAT};
use pptpscope::kernel::{Config, Kernel, Records};
use pptpscope_tests::statistics::{Sample, ended, verdict};
use serde::Serialize;

type Error = Box<dyn std::error::Error>;

/// Goals of the project.
const EARLY_EXIT_TIMES: f64 = 1.5;
const DATA_NS: f64 = 60.0;

/// Measures the kernel programs packet by packet.
#[derive(Parser)]
struct Arguments {
    /// Repetitions of each class; the fastest one counts.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Only programs whose name contains this.
    #[arg(long, default_value = "")]
    program: String,
    /// Where the figures go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail when a goal is missed.
    #[arg(long)]
    check: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A program, and what its packets begin with.
struct Target {
    name: &'static str,
    kind: Kind,
    /// Bytes before the IPv4 header.
    link: usize,
}

const TARGETS: [Target; 5] = [
    Target { name: "pptpscope_xdp", kind: Kind::Xdp, link: 14 },
    Target { name: "pptpscope_in", kind: Kind::Classifier, link: 14 },
    Target { name: "pptpscope_out", kind: Kind::Classifier, link: 14 },
    Target { name: "pptpscope_in3", kind: Kind::Classifier, link: 0 },
    Target { name: "pptpscope_out3", kind: Kind::Classifier, link: 0 },
];

/// One class in one program. Times are of one packet, in nanoseconds.
#[derive(Debug, Serialize)]
struct Row {
    program: &'static str,
    class: &'static str,
    empty_ns: f64,
    /// More than the empty program took on the same packets.
    over_empty_ns: f64,
    over_empty_median_ns: f64,
    times_empty: f64,
    goal: Option<String>,
    met: Option<bool>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ended(run(&arguments), arguments.check)
}

fn run(arguments: &Arguments) -> Result<bool, Error> {
    stay_on_one_cpu()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    // Room for every call id at once, and for every record of a repetition.
    let config = Config { max_sessions: REPEAT, ring_bytes: 1 << 22, ..Config::default() };
    let mut kernel = Kernel::load(&config)?;
    let mut records = kernel.records()?.ok_or("the ring is gone")?;
    let (programs, maps) = bpf::own_objects()?;
    let mut bench = Bench { kernel, records: &mut records, maps, runs: arguments.runs };
    let mut rows = Vec::new();
    for target in TARGETS.iter().filter(|target| target.name.contains(&arguments.program)) {
        // The kernel keeps 15 characters of a name.
        let found =
            programs.iter().find(|program| program.name == target.name.get(..15).unwrap_or(target.name));
        let program = found.ok_or_else(|| format!("there is no program {}", target.name))?;
        let verified =
            program.verified.map_or(String::new(), |count| format!(", {count} instructions verified"));
        println!("{}: {} bytes of machine code{verified}", target.name, program.jited_bytes);
        println!("  {:32}{:>10}{:>10}{:>12}{:>10}", "", "empty ns", "+ ns", "+ ns median", "times");
        for class in classes::uplink() {
            let row = bench.measure(target, program.fd.as_fd(), &class)?;
            show(&row);
            rows.push(row);
        }
    }
    if let Some(out) = &arguments.out {
        fs::write(out, serde_json::to_string_pretty(&rows)? + "\n")?;
    }
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    println!(
        "{} goals met, {missed} missed; counters agree with what was handed in, no data packet touched ring or LRU map",
        rows.iter().filter(|row| row.met == Some(true)).count()
    );
    Ok(missed == 0)
}

fn show(row: &Row) {
    println!(
        "  {:32}{:10.1}{:10.1}{:12.1}{:10.2}  {}",
        row.class,
        row.empty_ns,
        row.over_empty_ns,
        row.over_empty_median_ns,
        row.times_empty,
        row.goal.as_ref().map_or(String::new(), |goal| format!("{goal}: {}", verdict(row.met == Some(true))))
    );
}

struct Bench<'a> {
    kernel: Kernel,
    records: &'a mut Records,
    maps: Vec<Map>,
    runs: u32,
}

impl Bench<'_> {
    fn measure(&mut self, target: &Target, program: BorrowedFd<'_>, class: &Class) -> Result<Row, Error> {
        let on_link = |datagram: &[u8]| match target.link {
            0 => datagram.to_vec(),
            _ => frame::ethernet(0x0800, datagram),
        };
        let packet = on_link(&class.packet);
        let counters: Vec<Counter> = class
            .counters
            .iter()
            .map(|counter| Counter { at: counter.at + target.link, ..*counter })
            .collect();
        let nothing = bpf::empty(target.kind)?;
        let [ours, empty] =
            [program, nothing.as_fd()].map(|program| bpf::counting(target.kind, &counters, program));
        let (ours, empty) = (ours?, empty?);
        // Where nothing is to be counted, nothing comes before the program itself.
        let run = |counting: &bpf::Counting, plain: BorrowedFd<'_>, repeat| match counters.as_slice() {
            [] => bpf::test_run(plain, &packet, repeat),
            _ => bpf::test_run(counting.program.as_fd(), &packet, repeat),
        };

        let (mut bare, mut without, mut with, mut over) =
            (Sample::default(), Sample::default(), Sample::default(), Sample::default());
        // The first one warms up, and is not counted.
        for round in 0..=self.runs {
            let (bare_ns, _) = bpf::test_run(nothing.as_fd(), &packet, REPEAT)?;
            let (empty_ns, _) = run(&empty, nothing.as_fd(), REPEAT)?;
            self.prepare()?;
            if let Some(first) = &class.first {
                bpf::test_run(program, &on_link(first), 1)?;
            }
            let before = self.counters()?;
            let (ns, said) = run(&ours, program, REPEAT)?;
            if said != target.kind.verdict() {
                return Err(format!("{} said {said} to {}", target.name, class.name).into());
            }
            self.check(class, &before).map_err(|wrong| {
                format!("{}, {}: {wrong}; the figures are worth nothing", target.name, class.name)
            })?;
            if round > 0 {
                bare.add(bare_ns);
                without.add(empty_ns);
                with.add(ns);
                over.add(ns - empty_ns);
            }
        }
        let over_empty_ns = with.minimum() - without.minimum();
        let times_empty = (bare.minimum() + over_empty_ns) / bare.minimum();
        let (goal, met) = match class.goal {
            Goal::EarlyExit => {
                (Some(format!("at most {EARLY_EXIT_TIMES} times")), Some(times_empty <= EARLY_EXIT_TIMES))
            }
            Goal::Data => (Some(format!("at most {DATA_NS} ns more")), Some(over_empty_ns <= DATA_NS)),
            Goal::None => (None, None),
        };
        Ok(Row {
            program: target.name,
            class: class.name,
            empty_ns: bare.minimum(),
            over_empty_ns,
            over_empty_median_ns: over.median(),
            times_empty,
            goal,
            met,
        })
    }

    /// Everything as it is when the agent has just started.
    fn prepare(&mut self) -> Result<(), Error> {
        for map in self.maps.iter().filter(|map| map.is_lru || map.name == "FLOWS") {
            map.clear()?;
        }
        self.records.drain(usize::MAX, |_, _| {});
        Ok(())
    }

    fn counters(&self) -> Result<Counters, Error> {
        let flows = self.kernel.flows()?;
        let accounts = self.kernel.accounts()?;
        let mut lru = BTreeMap::new();
        for map in self.maps.iter().filter(|map| map.is_lru) {
            lru.insert(map.name.clone(), map.keys()?.len() as u64);
        }
        Ok(Counters {
            packets: flows.iter().map(|(_, flow)| flow.packets).sum(),
            fragments: flows.iter().map(|(_, flow)| flow.fragments).sum(),
            flows: flows.len() as u64,
            seen: accounts.iter().map(|account| account.seen).sum(),
            records: accounts.iter().map(|account| account.submitted).sum(),
            suppressed: accounts.iter().map(|account| account.suppressed).sum(),
            refused: self.kernel.refusals()?.iter().sum(),
            lru,
        })
    }

    /// Whether the counters have gone up by exactly what the packets of a repetition leave.
    fn check(&self, class: &Class, before: &Counters) -> Result<(), Error> {
        let after = self.counters()?;
        let repeat = u64::from(REPEAT);
        let Leaves { packets, flows, fragments, records, suppressed, lru } = class.leaves;
        let distinct = class
            .counters
            .iter()
            .filter(|counter| counter.carries)
            .map(|counter| u64::from(counter.mask) + 1)
            .next();
        // Without a call of its own for each packet they share one, or one each of a circle.
        let opened = match (distinct, flows, packets) {
            (Some(distinct), ..) => distinct.min(repeat),
            (None, 0, 1) => u64::from(class.first.is_none()),
            (None, flows, _) => flows * repeat,
        };
        let differences = [
            ("packets", after.packets - before.packets, packets * repeat),
            ("fragments", after.fragments - before.fragments, fragments * repeat),
            ("flows", after.flows - before.flows, opened),
            ("seen", after.seen - before.seen, (records + suppressed) * repeat),
            ("records", after.records - before.records, records * repeat),
            ("suppressed", after.suppressed - before.suppressed, suppressed * repeat),
            ("refused", after.refused - before.refused, 0),
        ];
        for (what, is, should) in differences {
            if is != should {
                return Err(format!("{is} {what} instead of {should}").into());
            }
        }
        // They were empty, so that an update of any kind shows.
        if !lru && let Some((map, count)) = after.lru.iter().find(|(_, count)| **count != 0) {
            return Err(format!("{count} entries in the LRU map {map}").into());
        }
        Ok(())
    }
}

/// Sums of what the agent counts.
struct Counters {
    packets: u64,
    fragments: u64,
    flows: u64,
    seen: u64,
    records: u64,
    suppressed: u64,
    refused: u64,
    /// Entries of each map that evicts.
    lru: BTreeMap<String, u64>,
}

/// The last CPU: the first one has most of the interrupts.
fn stay_on_one_cpu() -> Result<(), Error> {
    // SAFETY: the set is valid for the calls.
    let result = unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&cpus), &raw mut cpus);
        let last = (0..libc::CPU_SETSIZE as usize).rfind(|cpu| libc::CPU_ISSET(*cpu, &cpus)).unwrap_or(0);
        libc::CPU_ZERO(&mut cpus);
        libc::CPU_SET(last, &mut cpus);
        libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}
