//! The correlator on calls made of hand-written observations.

mod books;
mod calls;
mod findings;
mod limits;
mod logs;
mod negotiation;
mod radius;
mod reuse;
mod script;
mod windows;
