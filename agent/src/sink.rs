//! Consumers of events.

pub mod account;
pub mod lines;
