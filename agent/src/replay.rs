//! A recording in, the events of the live run out.

use std::io::{self, Write};
use std::time::Duration;

use crate::event::Event;
use crate::session::{Config, Correlator};
use crate::source::recording::{Entry, Error, Recording};

/// Why replaying ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording is at fault.
    #[error(transparent)]
    Recording(#[from] Error),
    /// The output is.
    #[error("cannot write the events: {0}")]
    Output(#[from] io::Error),
}

/// Writes the lines of the recorded run to `output`.
///
/// # Errors
///
/// See [`ReplayError`]; everything before was written.
pub fn replay(recording: &mut Recording, output: &mut impl Write) -> Result<(), ReplayError> {
    let header = recording.header();
    let mut correlator = Correlator::new(Config {
        stats_interval: Duration::from_nanos(header.stats_interval_ns),
        max_sessions: header.max_sessions as usize,
        idle_limit: Duration::from_nanos(header.idle_limit_ns),
        all_log_lines: header.all_log_lines,
        ..Config::for_host(header.host.clone())
    });
    let mut events: Vec<Event> = Vec::new();
    while let Some(entry) = recording.next_entry()? {
        match entry {
            Entry::Observe(observation) => correlator.observe(&observation, &mut events),
            Entry::Advance(now) => correlator.advance(now, &mut events),
            Entry::Finish(now) => {
                while !correlator.finish(now, &mut events) {
                    write(&mut events, output)?;
                }
            }
            Entry::Line(line) => {
                output.write_all(line.as_bytes())?;
                output.write_all(b"\n")?;
            }
        }
        write(&mut events, output)?;
        // There is no kernel whose maps follow.
        correlator.take_released();
        correlator.take_paired();
    }
    Ok(())
}

/// Writes the events, and empties their list.
fn write(events: &mut Vec<Event>, output: &mut impl Write) -> Result<(), ReplayError> {
    for event in events.drain(..) {
        serde_json::to_writer(&mut *output, &event).map_err(io::Error::from)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}
