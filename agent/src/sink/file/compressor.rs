//! The thread that compresses rotated files, and removes the oldest, while events go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use tracing::warn;

use super::Settings;
use super::rotated::{compress, prune, remove_partial, rotated};

/// How long the end of the agent waits for it. What it leaves, the next start finishes.
const PATIENCE: Duration = Duration::from_millis(200);

/// What it is to do.
#[derive(Debug)]
enum Task {
    /// Compress this one, which an earlier run has left.
    Leftover(PathBuf),
    /// This one was rotated out.
    Rotated(PathBuf),
}

/// See the module. Its end does not wait for a file to be compressed.
#[derive(Debug)]
pub(super) struct Compressor {
    tasks: Option<Sender<Task>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compressor {
    /// Starts the thread, and finishes what an earlier run has left.
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let (tasks, receiver) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        if let Err(error) = remove_partial(&settings.path) {
            warn!("cannot remove what was half compressed of {}: {error}", settings.path.display());
        }
        if settings.compress {
            for left in rotated(&settings.path)?.into_iter().filter(|left| !left.is_compressed()) {
                // The receiver is here yet.
                let _ = tasks.send(Task::Leftover(left.path));
            }
        }
        let work = {
            let (settings, is_over) = (settings.clone(), Arc::clone(&is_over));
            move || run(&settings, &receiver, &is_over)
        };
        let thread = Builder::new().name("compress".into()).spawn(work)?;
        Ok(Self { tasks: Some(tasks), is_over, thread: Some(thread) })
    }

    /// Takes a file that was rotated out.
    pub(super) fn take(&self, rotated: PathBuf) {
        if let Some(tasks) = &self.tasks {
            // The thread ends with this side only.
            let _ = tasks.send(Task::Rotated(rotated));
        }
    }
}

fn run(settings: &Settings, tasks: &Receiver<Task>, is_over: &AtomicBool) {
    for task in tasks {
        let (Task::Leftover(path) | Task::Rotated(path)) = &task;
        if settings.compress && !is_over.load(Ordering::Acquire) {
            compress_or_say(path, is_over);
        }
        // A start alone removes nothing: the agent may be one that never rotates.
        if matches!(task, Task::Rotated(_))
            && let Err(error) = prune(&settings.path, settings.keep)
        {
            warn!("cannot remove old files of {}: {error}", settings.path.display());
        }
    }
}

fn compress_or_say(path: &Path, is_over: &AtomicBool) {
    if let Err(error) = compress(path, is_over) {
        warn!("cannot compress {}: {error}; it stays as it is", path.display());
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.tasks = None;
        let Some(thread) = self.thread.take() else { return };
        // A disk may take long to write what is in its cache; events that were delivered are not late for that.
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
    }
}
