//! The correlator on calls made of hand-written observations.

mod calls;
mod limits;
mod script;
