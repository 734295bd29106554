//! Scenarios of the lab and the judgement of their runs.
//!
//! A run of the lab leaves a folder: the agent's events, the daemons' logs, a capture of the server's
//! uplink. This library reads the scenario ([`scenario`]), computes from capture and logs what really
//! happened ([`truth`], [`pppd`]) and holds the agent's events against it ([`judge`]). It shares no
//! code with the agent: it is the second opinion.

pub mod capture;
pub mod condition;
pub mod control;
pub mod equality;
pub mod events;
pub mod flood;
pub mod generate;
pub mod gre;
pub mod judge;
pub mod model;
pub mod namespace;
pub mod packet;
pub mod payload;
pub mod pppd;
pub mod scenario;
pub mod statistics;
pub mod stream;
pub mod time;
pub mod truth;

#[cfg(test)]
mod frames;
