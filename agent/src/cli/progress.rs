//! How far a file was read, for whoever watches a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::source::capture::{Captures, Position};

/// A bar on standard error; nothing when that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    positions: Vec<Position>,
}

impl Progress {
    pub(super) fn start(captures: &Captures) -> Self {
        let (positions, size) = captures.progress();
        let (bar, template) = match size {
            Some(size) => {
                (ProgressBar::new(size), "{bar:30} {percent}% {binary_bytes_per_sec}, {eta} left  {msg}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {binary_bytes} {binary_bytes_per_sec}  {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, positions }
    }

    /// Shows how far it is; as often as it likes to be called.
    pub(super) fn step(&self) {
        self.bar.set_position(self.positions.iter().map(Position::bytes).sum());
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
