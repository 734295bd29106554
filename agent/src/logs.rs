//! What the daemons say: lines of logs in, observations out. Pure: no files, no clock.
//!
//! A line passes three stages. [`envelope`] takes off who said it and when; [`catalogue`] knows the
//! message and its values; [`dump`] turns the debug dump of pppd into the negotiation frames that the
//! wire decoder gives. [`reader`] joins them for one log. What a message says is never read as an
//! envelope again, so a user name that looks like a line of a log stays a user name.

pub mod catalogue;
pub mod dump;
pub mod envelope;
pub mod pattern;
pub mod reader;
pub mod recognise;
mod redact;
mod scan_dump;
pub mod time;

#[cfg(test)]
mod case_tests;
#[cfg(test)]
mod property_tests;
