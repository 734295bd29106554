//! The library behind the `pptpscope` program.
//!
//! Data flows one way: sources turn what they see into [`observation::Observation`]s, one pure
//! correlator ([`session`]) turns those into [`event::Event`]s, sinks write the events.

pub mod agent;
pub mod analysis;
pub mod books;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod event;
pub mod finding;
pub mod kernel;
pub mod logs;
pub mod metrics;
pub mod observation;
mod packed;
pub mod privacy;
pub mod replay;
mod seldom;
pub mod session;
pub mod sink;
pub mod source;
pub mod time;
pub mod tls;
pub mod windows;
pub mod wire;
