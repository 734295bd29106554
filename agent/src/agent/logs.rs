//! Logs of this host, followed beside the kernel.

use std::collections::VecDeque;
use std::fs;

use super::{Agent, Error};
use crate::event::agent::LogSource;
use crate::observation::log::Log;
use crate::observation::{Clock, Observation, Origin, Process, What};
use crate::source::kernel::KernelClock;
use crate::time::Timestamp;

/// Processes whose parent was looked up.
const MAX_KNOWN: usize = 1024;

/// Processes whose parent was looked up lately.
#[derive(Debug, Default)]
pub(super) struct Parents {
    known: VecDeque<u32>,
}

impl Parents {
    /// The parent of the process that said the line, the first time that it speaks; None when it is gone, or
    /// speaks for another host.
    fn of(&mut self, log: &Log, host: &str) -> Option<Process> {
        let pid = log.pid?;
        let is_here = log.host.as_deref().is_none_or(|name| host.split('.').next() == name.split('.').next());
        if !is_here || !matches!(&*log.program, "pppd" | "pptpd" | "pptp") {
            return None;
        }
        let starts = log.message.as_ref().is_some_and(|message| message.id.contains("started"));
        if self.known.contains(&pid) && !starts {
            return None;
        }
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(pid);
        Some(Process { pid, parent: parent(pid)? })
    }
}

/// Parent of a process, from the process table (proc(5), /proc/pid/stat).
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets: what counts is behind the last one.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// When the kernel came up.
pub(super) fn booted(now: Timestamp) -> Timestamp {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let up_ns =
        u64::try_from(up.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(up.tv_nsec).unwrap_or(0);
    Timestamp::from_unix_ns(now.unix_ns().saturating_sub(up_ns))
}

impl Agent {
    /// Takes what the logs say; true when there is more.
    ///
    /// What a daemon writes about was on the wire before. So the lines are read first, then the ring, and only
    /// then is heard what the lines say: a busy host may need long for each of the three.
    pub(super) fn read_logs(&mut self) -> Result<bool, Error> {
        let Self { follower, lines, parents, host, .. } = self;
        let more = follower.poll(&mut |observation| {
            if let What::Log(log) = &observation.what
                && let Some(process) = parents.of(log, host)
            {
                let (at, what) = (KernelClock::now(), What::Process(process));
                lines.push(Observation { at, clock: Clock::Agent, origin: Origin::Processes, what });
            }
            lines.push(observation);
        });
        if !self.lines.is_empty() {
            self.drain()?;
        }
        let Self { lines, correlator, events, .. } = self;
        for observation in lines.drain(..) {
            correlator.observe(&observation, events);
        }
        self.forget_released()?;
        self.write_events()?;
        Ok(more)
    }

    /// What became of the lines of each log.
    pub(super) fn log_sources(&self) -> Vec<LogSource> {
        let offsets = self.correlator.clock_offsets();
        let source = |log: crate::source::follow::Summary<'_>| {
            let offset = offsets.iter().find(|offset| offset.source == log.name);
            LogSource {
                name: log.name.to_owned(),
                lines: log.counts.lines,
                recognised: log.counts.recognised,
                unknown: log.counts.unknown,
                foreign: log.counts.foreign + log.counts.empty,
                unreadable: log.counts.unreadable,
                undated: log.counts.undated,
                cut: log.counts.cut,
                not_utf8: log.counts.not_utf8,
                rotations: log.rotations,
                lost_bytes: log.lost_bytes,
                clock_offset_ns: offset.map(|offset| offset.offset_ns),
                clock_samples: offset.map_or(0, |offset| offset.samples),
                problem: log.problem.map(str::to_owned),
            }
        };
        self.follower.members().map(source).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_in_the_process_table() {
        let own = std::process::id();
        assert_eq!(parent(own), Some(std::os::unix::process::parent_id()));
        assert_eq!(parent(u32::MAX), None);
    }
}
