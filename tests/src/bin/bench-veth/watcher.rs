//! Who watches: the agent, tcpdump, bpftrace, nobody.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Error;
use crate::empty::Empty;
use pptpscope_tests::namespace;

/// Packets and bytes of each direction of each call, as the agent's flow map has them.
const SCRIPT: &str = r#"
BEGIN { printf("ready\n"); }
tracepoint:net:netif_receive_skb
{
    $skb = (struct sk_buff *)args->skbaddr;
    $ip = (uint64)$skb->data;
    if ($skb->protocol == 8 && *(uint8 *)($ip + 9) == 47) {
        $id = *(uint16 *)($ip + (*(uint8 *)$ip & 15) * 4 + 6);
        @packets[*(uint32 *)($ip + 12), *(uint32 *)($ip + 16), $id] = count();
        @bytes[*(uint32 *)($ip + 12), *(uint32 *)($ip + 16), $id] = sum(bswap(*(uint16 *)($ip + 2)));
    }
}
tracepoint:net:net_dev_queue
{
    $skb = (struct sk_buff *)args->skbaddr;
    $ip = (uint64)$skb->data + 14;
    if ($skb->protocol == 8 && *(uint8 *)($ip + 9) == 47) {
        $id = *(uint16 *)($ip + (*(uint8 *)$ip & 15) * 4 + 6);
        @packets[*(uint32 *)($ip + 12), *(uint32 *)($ip + 16), $id] = count();
        @bytes[*(uint32 *)($ip + 12), *(uint32 *)($ip + 16), $id] = sum(bswap(*(uint16 *)($ip + 2)));
    }
}
"#;

/// Who watches the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watcher {
    Nobody,
    /// A program that only returns, where the agent has its own at TC.
    Empty,
    Agent,
    /// With received packets seen by XDP.
    AgentXdp,
    Tcpdump,
    Bpftrace,
}

impl Watcher {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "alone",
            Self::Empty => "empty, TC",
            Self::Agent => "agent, TC",
            Self::AgentXdp => "agent, XDP",
            Self::Tcpdump => "tcpdump",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Starts it and waits until it watches.
    pub(crate) fn start(self, agent: &Path, interface: &str) -> Result<Running, Error> {
        let mut command = match self {
            Self::Nobody => {
                return Ok(Running { watcher: self, process: None, empty: None, start_seconds: None });
            }
            Self::Empty => {
                let empty = Some(Empty::attach(namespace::index_of(interface)?)?);
                return Ok(Running { watcher: self, process: None, empty, start_seconds: None });
            }
            Self::Agent | Self::AgentXdp => {
                let mut command = Command::new(agent);
                command.args(["run", "--interface", interface, "--stats-interval", "1"]);
                command.args(["--ingress", if self == Self::Agent { "tc" } else { "xdp" }]);
                command
            }
            Self::Tcpdump => {
                let mut command = Command::new("tcpdump");
                command.args(["-i", interface, "-w", "/dev/null", "ip proto 47 or tcp port 1723"]);
                command
            }
            Self::Bpftrace => {
                let mut command = Command::new("bpftrace");
                command.args(["-e", SCRIPT]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: one system call between fork and exec: any CPU, not the sender's alone.
        unsafe {
            command.pre_exec(|| {
                let all = [0xffu8; 128];
                libc::sched_setaffinity(0, all.len(), all.as_ptr().cast());
                Ok(())
            });
        }
        let start = Instant::now();
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().map(BufReader::new).ok_or("no standard output")?;
        let stderr = child.stderr.take().map(BufReader::new).ok_or("no standard error")?;
        let mut process = Process { child, stdout, stderr };
        match self {
            Self::Agent | Self::AgentXdp => process.wait_for("agent.start", false)?,
            Self::Tcpdump => process.wait_for("listening on", true)?,
            _ => process.wait_for("ready", false)?,
        }
        let start_seconds = (self == Self::Agent).then(|| start.elapsed().as_secs_f64());
        // Let it come to rest.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Running { watcher: self, process: Some(process), empty: None, start_seconds })
    }
}

struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Process {
    /// Reads up to the line that holds `text`.
    fn wait_for(&mut self, text: &str, on_stderr: bool) -> Result<(), Error> {
        let source: &mut dyn BufRead = if on_stderr { &mut self.stderr } else { &mut self.stdout };
        let mut line = String::new();
        loop {
            line.clear();
            if source.read_line(&mut line)? == 0 {
                let mut said = String::new();
                self.stderr.read_to_string(&mut said)?;
                return Err(format!("it ended: {}", said.trim()).into());
            }
            if line.contains(text) {
                return Ok(());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended, as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a watcher says that it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    Nothing,
    Packets(u64),
    /// Directions of calls.
    Flows(u64),
}

/// A watcher at work.
pub(crate) struct Running {
    watcher: Watcher,
    process: Option<Process>,
    #[allow(dead_code, reason = "it is attached as long as it is here")]
    empty: Option<Empty>,
    /// How long it took until everything was attached.
    pub(crate) start_seconds: Option<f64>,
}

impl Running {
    /// Ends it.
    pub(crate) fn stop(self) -> Result<Saw, Error> {
        let Some(mut process) = self.process else { return Ok(Saw::Nothing) };
        // SAFETY: a signal to our own child, which has not been waited for.
        if unsafe { libc::kill(process.child.id().cast_signed(), libc::SIGINT) } != 0 {
            return Err(io::Error::last_os_error().into());
        }
        let (mut said, mut complained) = (String::new(), String::new());
        process.stdout.read_to_string(&mut said)?;
        process.stderr.read_to_string(&mut complained)?;
        let status = process.child.wait()?;
        if !status.success() {
            return Err(format!("it ended with {status}: {}", complained.trim()).into());
        }
        let seen = match self.watcher {
            Watcher::Agent | Watcher::AgentXdp => flows_of_agent(&said).map(Saw::Flows),
            Watcher::Tcpdump => complained
                .lines()
                .find_map(|line| line.strip_suffix(" packets received by filter")?.parse().ok())
                .map(Saw::Packets),
            // @packets[1, 2, 3]: 4
            Watcher::Bpftrace => said
                .lines()
                .filter(|line| line.starts_with("@packets["))
                .map(|line| line.rsplit_once("]: ")?.1.parse::<u64>().ok())
                .sum::<Option<u64>>()
                .map(Saw::Packets),
            Watcher::Nobody | Watcher::Empty => Some(Saw::Nothing),
        };
        Ok(seen.ok_or_else(|| format!("it does not say what it saw: {said}{complained}"))?)
    }
}

/// Entries of the agent's flow map at its end. Nobody's calls are not shown as sessions, because no
/// packet comes back; that it counts right is what the native tests show.
fn flows_of_agent(lines: &str) -> Option<u64> {
    let mut events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let stop = events.rfind(|event| event["event"] == "agent.stop")?;
    stop["agent_stop"]["status"]["flows"]["used"].as_u64()
}
