//! The library behind the `pptpscope` program.
//!
//! Data flows one way: sources turn what they see into [`observation::Observation`]s, one pure
//! correlator ([`session`]) turns those into [`event::Event`]s, sinks write the events.

pub mod agent;
pub mod analysis;
pub mod cli;
pub mod event;
pub mod kernel;
pub mod observation;
pub mod replay;
pub mod session;
pub mod sink;
pub mod source;
pub mod time;
pub mod wire;
