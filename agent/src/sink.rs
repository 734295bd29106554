//! Consumers of events.

pub mod lines;
