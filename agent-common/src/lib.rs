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
mod inner;
pub mod layout;
mod limit;
pub mod passage;
mod payload;
mod record;
mod round_trip;
mod sequence;
#[cfg(feature = "user")]
mod words;

pub use account::{Account, Kind, RADIUS_PORTS, Refusal};
pub use flow::{Flow, FlowKey, FragmentKey, PEER_KNOWN};
pub use inner::{Inner, InnerKey};
pub use limit::{Limit, Limiter, Source, SourceKey};
pub use payload::{Content, HEAD_BYTES, LENGTH_BUCKETS, LENGTH_STEPS, Lengths, Mppe};
pub use record::{Direction, Record, RecordHeader, SNAP_BYTES, TRUNCATED};
pub use round_trip::{ACK_TIMEOUT_NS, Awaited, ROUND_TRIP_BUCKETS, ROUND_TRIP_FIRST_BITS, RoundTrips};
pub use sequence::{Sequence, WINDOW};
