//! What the kernel programs and the agent share: map keys, per-flow counters, the
//! sequence accounting and the records of the ring.
//!
//! Every type here is `repr(C)`, without padding that is not named, and its size is asserted:
//! both sides read the same bytes. Addresses keep network byte order (`[u8; 4]`, first octet
//! first); every integer is in host byte order.
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

mod account;
pub mod drop;
mod flow;
pub mod layout;
mod record;
mod sequence;

pub use account::{Account, Kind, Refusal};
pub use flow::{Flow, FlowKey, FragmentKey};
pub use record::{Direction, Record, RecordHeader, SNAP_BYTES, TRUNCATED};
pub use sequence::{Sequence, WINDOW};
