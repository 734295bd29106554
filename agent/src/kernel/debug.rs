//! The debug records of the kernel programs (aya-log), handed to `tracing`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use aya::Ebpf;
use aya_log::{EbpfLogger, Level};
use log::{Log, Metadata, Record};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the programs' level is set to when they shall talk. Zero compiles the calls out: the
/// verifier knows the constant and removes what it makes unreachable.
pub(super) const LEVEL: u8 = Level::Debug as u8;

/// The map of aya-log.
pub(super) const MAP: &str = "AYA_LOGS";

/// Its size when it is used, bytes.
pub(super) const RING_BYTES: u32 = 1 << 17;

/// Target of the `tracing` events.
const TARGET: &str = "pptpscope::kernel::programs";

/// The debug records, waiting to be passed on.
pub struct DebugLog {
    logger: AsyncFd<EbpfLogger<ToTracing>>,
}

impl DebugLog {
    /// None when the map was taken before.
    pub(super) fn new(ebpf: &mut Ebpf) -> io::Result<Option<Self>> {
        let Ok(logger) = EbpfLogger::init_with_logger(ebpf, ToTracing) else { return Ok(None) };
        // SAFETY: the logger owns its descriptor, which stays the same and open while it lives.
        let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) }?;
        Ok(Some(Self { logger }))
    }

    /// Passes debug records on as they come. Never returns but on error.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn run(mut self) -> io::Result<()> {
        loop {
            self.logger.get_mut().flush();
            self.logger.readable().await?.clear_ready();
        }
    }
}

impl std::fmt::Debug for DebugLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DebugLog").field("fd", &self.as_raw_fd()).finish()
    }
}

impl AsRawFd for DebugLog {
    fn as_raw_fd(&self) -> RawFd {
        self.logger.as_raw_fd()
    }
}

/// aya-log speaks to the `log` crate only.
struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::debug!(target: TARGET, "{}", record.args());
    }

    fn flush(&self) {}
}
