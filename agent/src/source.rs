//! Producers of observations.

pub mod kernel;
pub mod packet;
