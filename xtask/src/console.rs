//! What the developer sees.

use std::io::IsTerminal;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static COLOUR: LazyLock<bool> = LazyLock::new(|| {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !no_color
});

/// Starts the clock of [`progress`].
pub(crate) fn start() {
    LazyLock::force(&START);
}

/// How a text stands out on a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Grey.
    Quiet,
    /// Bold.
    Heading,
}

/// The text with colour, when standard output is a terminal and `NO_COLOR` is not set.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if !*COLOUR {
        return text.to_owned();
    }
    let code = match style {
        Style::Good => "32",
        Style::Bad => "31",
        Style::Quiet => "90",
        Style::Heading => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A line of progress, with the time since the program started.
pub(crate) fn progress(text: &str) {
    println!("{} {text}", paint(Style::Quiet, &format!("{:7.1} s", START.elapsed().as_secs_f64())));
}

/// An error, on standard error.
pub(crate) fn error(text: &str) {
    eprintln!("error: {text}");
}

/// A duration as a person says it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// `passed` or `FAILED`.
pub(crate) fn outcome(passed: bool) -> String {
    if passed { paint(Style::Good, "passed") } else { paint(Style::Bad, "FAILED") }
}
