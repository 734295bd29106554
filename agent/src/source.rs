//! Producers of observations.

pub mod capture;
pub mod clock;
pub mod document;
pub mod follow;
pub mod kernel;
pub mod packet;
pub mod radius;
pub mod recognise;
pub mod recording;
