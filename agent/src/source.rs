//! Producers of observations.

pub mod capture;
pub mod kernel;
pub mod packet;
pub mod recording;
