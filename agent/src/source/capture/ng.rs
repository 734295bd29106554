//! Blocks of pcapng (draft-ietf-opsawg-pcapng).

use super::file::{Meta, Order};
use crate::time::Timestamp;

/// Type of a section header block: the same in either byte order.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, but old captures live long.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length before the body of a block, and the length again behind it.
pub(super) const BLOCK_HEADER: usize = 8;
const BLOCK_TRAILER: usize = 4;

/// Options of an interface description.
const END_OF_OPTIONS: u16 = 0;
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;

/// Interfaces of a section that are believed.
const MAX_INTERFACES: usize = 4096;

const BILLION: u64 = 1_000_000_000;

/// What a section says about an interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    link_type: u16,
    snap_bytes: u32,
    unit: Unit,
    /// Seconds to add to every time.
    offset: i64,
}

/// The unit of time, turned into nanoseconds.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many nanoseconds.
    Times(u64),
    /// So many of them are a nanosecond.
    Per(u64),
    /// Two to the power of so many of them are a second.
    Binary(u32),
}

impl Unit {
    /// From `if_tsresol`: a negative power of 10, or of 2 with the top bit set.
    fn from_option(value: u8) -> Option<Self> {
        let exponent = u32::from(value & 0x7f);
        match value {
            0x80.. => (exponent < 64).then_some(Self::Binary(exponent)),
            0..=9 => Some(Self::Times(10u64.pow(9 - exponent))),
            10..=28 => Some(Self::Per(10u64.pow(exponent - 9))),
            _ => None,
        }
    }
}

impl Interface {
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let ns = match self.unit {
            Unit::Times(unit) => ticks.saturating_mul(unit),
            Unit::Per(unit) => ticks / unit,
            Unit::Binary(shift) => {
                u64::try_from((u128::from(ticks) * u128::from(BILLION)) >> shift).unwrap_or(u64::MAX)
            }
        };
        let offset = self.offset.saturating_mul(BILLION.cast_signed());
        Timestamp::from_unix_ns(ns.saturating_add_signed(offset))
    }
}

/// Reads a whole block: takes up an interface, or finds the packet in it. `last` is the time of a
/// packet that has none.
pub(super) fn read(
    order: Order,
    block: &[u8],
    interfaces: &mut Vec<Interface>,
    last: Timestamp,
) -> Result<Option<Meta>, &'static str> {
    let body_end = block.len() - BLOCK_TRAILER;
    let unknown = "a packet of an interface that was not described";
    let word = |index: usize| order.u32(block, BLOCK_HEADER + 4 * index);
    match order.u32(block, 0) {
        INTERFACE_DESCRIPTION => {
            if interfaces.len() >= MAX_INTERFACES {
                return Err("more than 4096 interfaces");
            }
            interfaces.push(description(order, block.get(BLOCK_HEADER..body_end).unwrap_or_default())?);
            Ok(None)
        }
        kind @ (ENHANCED_PACKET | PACKET) => {
            let from = BLOCK_HEADER + 20;
            if from > body_end {
                return Err("a packet block that is too short");
            }
            let index = if kind == PACKET { u32::from(order.u16(block, BLOCK_HEADER)) } else { word(0) };
            let interface = interfaces.get(index as usize).ok_or(unknown)?;
            let length = word(3) as usize;
            if length > body_end - from {
                return Err("a packet that is longer than its block");
            }
            Ok(Some(Meta {
                at: interface.time(word(1), word(2)),
                link_type: interface.link_type,
                interface: index,
                wire_bytes: (word(4) as usize).max(length),
                from,
                length,
            }))
        }
        SIMPLE_PACKET => {
            let from = BLOCK_HEADER + 4;
            let interface = interfaces.first().ok_or(unknown)?;
            let present = body_end.checked_sub(from).ok_or("a packet block that is too short")?;
            let wire_bytes = word(0) as usize;
            let snap = if interface.snap_bytes == 0 { usize::MAX } else { interface.snap_bytes as usize };
            Ok(Some(Meta {
                at: last,
                link_type: interface.link_type,
                interface: 0,
                wire_bytes,
                from,
                length: present.min(wire_bytes).min(snap),
            }))
        }
        // Names, statistics, secrets, comments, and what is not invented yet.
        _ => Ok(None),
    }
}

fn description(order: Order, body: &[u8]) -> Result<Interface, &'static str> {
    let mut rest = body.get(8..).ok_or("an interface description that is too short")?;
    let mut interface = Interface {
        link_type: order.u16(body, 0),
        snap_bytes: order.u32(body, 4),
        unit: Unit::Times(1000),
        offset: 0,
    };
    while rest.len() >= 4 {
        let (code, length) = (order.u16(rest, 0), usize::from(order.u16(rest, 2)));
        let value = rest.get(4..4 + length).ok_or("an option that is longer than its block")?;
        match (code, value) {
            (END_OF_OPTIONS, _) => break,
            (RESOLUTION, [value, ..]) => {
                interface.unit = Unit::from_option(*value).ok_or("an impossible resolution of time")?;
            }
            (OFFSET, value) if value.len() == 8 => {
                let (first, second) = (u64::from(order.u32(value, 0)), u64::from(order.u32(value, 4)));
                let bits = if order == Order::Big { first << 32 | second } else { second << 32 | first };
                interface.offset = bits.cast_signed();
            }
            _ => {}
        }
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(interface)
}
