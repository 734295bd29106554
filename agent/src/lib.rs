//! The library behind the `pptpscope` program.
//!
//! Data flows one way: sources turn what they see into [`observation::Observation`]s, one pure
//! correlator turns those into events, sinks write the events.

pub mod kernel;
pub mod observation;
pub mod wire;
