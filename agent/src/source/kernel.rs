//! From what the kernel programs tell to observations.

use std::net::Ipv4Addr;

use bytes::Bytes;
use pptpscope_common::{Direction, Flow, Inner, Kind, RecordHeader};
use rustix::time::{ClockId, clock_gettime};

use super::packet;
use super::radius::{self, Inspector};
use crate::observation::{Clock, FlowKey, Observation, Origin, What};
use crate::time::Timestamp;

/// Turns the kernel's monotonic time into the time of day.
#[derive(Clone, Copy, Debug)]
pub struct KernelClock {
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    offset_ns: i64,
}

impl KernelClock {
    /// Compares the two clocks as they are now. NTP and the administrator move the time of day, so
    /// this is done again every second.
    pub fn sample() -> Self {
        let realtime = nanoseconds(ClockId::Realtime);
        let monotonic = nanoseconds(ClockId::Monotonic);
        Self { offset_ns: realtime.saturating_sub(monotonic) }
    }

    /// The time of day at which the kernel's clock showed `monotonic_ns`.
    pub fn time_of_day(self, monotonic_ns: u64) -> Timestamp {
        Timestamp::from_unix_ns(monotonic_ns.saturating_add_signed(self.offset_ns))
    }

    /// The time of day now.
    pub fn now() -> Timestamp {
        Timestamp::from_unix_ns(u64::try_from(nanoseconds(ClockId::Realtime)).unwrap_or(0))
    }
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Why a ring record tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is neither a control segment nor a negotiation frame.
    #[error(transparent)]
    Packet(#[from] packet::Error),
    /// It is no RADIUS packet.
    #[error(transparent)]
    Radius(#[from] radius::Error),
}

/// The observation that a ring record is. `radius` looks into those of RADIUS.
///
/// # Errors
///
/// When the packet in it is not what the kernel program took it for.
pub fn record(
    header: &RecordHeader,
    packet: &[u8],
    clock: KernelClock,
    radius: &mut Inspector,
) -> Result<Observation, Error> {
    let bytes = Bytes::copy_from_slice(packet);
    let what = match Kind::from_byte(header.kind) {
        Some(Kind::Radius) => What::Radius(Box::new(radius.inspect(bytes)?)),
        _ => packet::decode(bytes)?,
    };
    let direction = Direction::from_byte(header.direction).unwrap_or(Direction::Ingress);
    Ok(Observation {
        at: clock.time_of_day(header.at_ns),
        clock: Clock::Kernel,
        origin: Origin::Wire { ifindex: header.ifindex, direction },
        what,
    })
}

/// The observation that an entry of the flow map is, read at `at`. Its times become times of the day.
pub fn flow(
    key: &pptpscope_common::FlowKey,
    mut flow: Flow,
    clock: KernelClock,
    at: Timestamp,
) -> Observation {
    flow.first_ns = clock.time_of_day(flow.first_ns).unix_ns();
    flow.last_ns = clock.time_of_day(flow.last_ns).unix_ns();
    let direction = Direction::from_byte(key.direction).unwrap_or(Direction::Ingress);
    let key =
        FlowKey { source: key.source.into(), destination: key.destination.into(), call_id: key.call_id };
    Observation { at, clock: Clock::Agent, origin: Origin::Counters, what: What::Flow(key, direction, flow) }
}

/// The flow of the map as seen coming in: enough to name the call to the programs.
pub fn map_key(key: &FlowKey) -> pptpscope_common::FlowKey {
    let [ingress, _] = map_keys(key);
    ingress
}

/// The observation that counters of a pppN are, read at `at`.
pub const fn inner(index: u32, direction: Direction, inner: Inner, at: Timestamp) -> Observation {
    let what = What::Inner(index, direction, inner);
    Observation { at, clock: Clock::Agent, origin: Origin::Counters, what }
}

/// The observation that an address is beyond its limit.
pub const fn limited(source: Ipv4Addr, packets: u64, at: Timestamp) -> Observation {
    let what = What::Limited { source, packets };
    Observation { at, clock: Clock::Agent, origin: Origin::Counters, what }
}

/// The entries of the flow map that a flow may have: a host that forwards it sees it coming in and
/// going out.
pub fn map_keys(key: &FlowKey) -> [pptpscope_common::FlowKey; 2] {
    [Direction::Ingress, Direction::Egress].map(|direction| pptpscope_common::FlowKey {
        source: key.source.octets(),
        destination: key.destination.octets(),
        call_id: key.call_id,
        direction: direction as u8,
        _pad: 0,
    })
}
