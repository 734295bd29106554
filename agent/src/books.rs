//! The books (pure): what enters a stage and does not leave it must be booked under a named reason.
//!
//! [`segment`] holds the arithmetic of one step of a call's way, [`arming`] decides when a difference
//! that nobody booked is worth the expensive probes.

pub mod arming;
pub mod segment;
