//! Programs that are asked for what the kernel says to nobody else: nft, iptables-save.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::doctor::facts::{Seen, Unseen};

/// The environment's PATH is not asked: this may run as root.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// A ruleset of a thousand rules takes nft a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer answers are cut, and refused.
const MAX_ANSWER: u64 = 64 << 20;

/// What a program writes to its standard output.
pub(super) fn output(program: &str, arguments: &[&str]) -> Seen<String> {
    let path = FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    let Some(path) = path else { return Err(Unseen::Absent(format!("the program {program}"))) };
    let failed = |error: &dyn std::fmt::Display| Unseen::Failed(format!("{program}: {error}"));
    let mut child = Command::new(path)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", FOLDERS.join(":"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let out = child.stdout.take().map(reader);
    let err = child.stderr.take().map(reader);
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(|error| failed(&error))? {
            Some(status) => break status,
            None if Instant::now() > end => {
                // Its end closes the pipes, which ends the readers.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Unseen::Failed(format!(
                    "{program} did not answer within {} s",
                    PATIENCE.as_secs()
                )));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err) = (text(out), text(err));
    if status.success() {
        return Ok(out);
    }
    let why = err.lines().next().unwrap_or("failed").to_owned();
    if why.contains("ermission denied") || why.contains("not permitted") || why.contains("must be root") {
        return Err(Unseen::Denied("the firewall's ruleset".to_owned()));
    }
    Err(failed(&why))
}

fn reader(pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is what there is.
        let _ = pipe.take(MAX_ANSWER).read_to_end(&mut bytes);
        bytes
    })
}
