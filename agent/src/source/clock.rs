//! Whether the clock of this host is right, as the kernel knows it.

use std::io;

use crate::event::agent::HostClock;

/// Asks the kernel how the clock is kept (adjtimex(2)).
///
/// # Errors
/// When the kernel does not answer.
pub fn discipline() -> io::Result<HostClock> {
    // SAFETY: all zeros is a valid timex, and with modes 0 the kernel only fills it in.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a timex of ours that lives through the call.
    if unsafe { libc::adjtimex(&raw mut timex) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(of(&timex))
}

/// The offset is in nanoseconds where the kernel says so, else in microseconds, as the errors always are.
fn of(timex: &libc::timex) -> HostClock {
    let unit = if timex.status & libc::STA_NANO != 0 { 1 } else { 1000 };
    let ns = |microseconds: i64| u64::try_from(microseconds).unwrap_or(0).saturating_mul(1000);
    HostClock {
        synchronised: timex.status & libc::STA_UNSYNC == 0,
        offset_ns: timex.offset.saturating_mul(unit),
        max_error_ns: ns(timex.maxerror),
        estimated_error_ns: ns(timex.esterror),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_kernel() {
        // SAFETY: all zeros is a valid timex.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        (timex.offset, timex.maxerror, timex.esterror) = (-3, 16_000, 7);
        timex.status = libc::STA_UNSYNC;
        let clock = of(&timex);
        assert_eq!((clock.synchronised, clock.offset_ns, clock.max_error_ns), (false, -3000, 16_000_000));
        timex.status = libc::STA_NANO;
        let clock = of(&timex);
        assert_eq!((clock.synchronised, clock.offset_ns, clock.estimated_error_ns), (true, -3, 7000));
    }

    #[test]
    fn the_kernel_answers() {
        discipline().unwrap();
    }
}
