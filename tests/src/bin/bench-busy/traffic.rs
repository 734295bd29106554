//! The packets of calls that come, carry data and go, at the pace of the clock.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use pptpscope_tests::flood::Sender;
use pptpscope_tests::generate::{Ends, Maker, Next, data};
use pptpscope_tests::namespace;

use crate::daemons::Daemons;

/// The watched end.
pub(crate) const WATCHED: &str = "w0";
const PEER: &str = "p0";

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// Data packets of each direction of each call, in a second.
const DATA_PER_SECOND: f64 = 2.0;

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Calls that came and went.
    pub(crate) calls: u64,
    /// Frames.
    pub(crate) packets: u64,
    /// GRE packets of clients, in calls that ended.
    pub(crate) from_clients: u64,
    /// The same of the server.
    pub(crate) from_server: u64,
    /// Lines of daemons.
    pub(crate) lines: u64,
}

/// A call that is up.
struct Live {
    /// No other call has it.
    number: u64,
    /// Which of the clients; they call again.
    client: u32,
    next: Next,
}

type Take = Box<dyn FnMut(bool, &[u8]) -> io::Result<()>>;

pub(crate) struct Traffic {
    maker: Maker<Take>,
    packets: std::rc::Rc<std::cell::Cell<u64>>,
    setups_per_second: f64,
    up: usize,
    calls: u64,
    live: VecDeque<Live>,
    /// Index of the call that carries data next.
    turn: usize,
    sent: Sent,
    frames: [Vec<u8>; 2],
    daemons: Option<Daemons>,
    _other_host: OtherHost,
}

impl Traffic {
    /// Without `daemons` nobody writes a log.
    pub(crate) fn new(up: u32, setups: u32, daemons: Option<Daemons>) -> Result<Self, super::Error> {
        namespace::enter()?;
        let other = OtherHost::begin()?;
        // Frames go to addresses that are none of the two: the kernel lets go of them behind the agent.
        for arguments in [
            "link add w0 type veth peer name p0",
            "link set w0 addrgenmode none address 02:00:00:00:00:11",
            "link set p0 addrgenmode none address 02:00:00:00:00:12",
            &format!("link set p0 netns {}", other.0.id()),
            "link set w0 up",
            "address add 203.0.113.1/24 dev w0",
        ] {
            namespace::run("ip", arguments)?;
        }
        namespace::run("nsenter", &format!("--net=/proc/{}/ns/net ip link set p0 up", other.0.id()))?;
        let server = Sender::new(namespace::index_of(WATCHED)?)?;
        let client =
            other.within(|| Sender::new(namespace::index_of(PEER)?).map_err(|error| error.to_string()))??;
        let packets = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = std::rc::Rc::clone(&packets);
        let take: Take = Box::new(move |from_client, frame| {
            count.set(count.get() + 1);
            if from_client { client.send(frame) } else { server.send(frame) }
        });
        Ok(Self {
            maker: Maker::new(take),
            packets,
            setups_per_second: f64::from(setups),
            up: up as usize,
            calls: 0,
            live: VecDeque::new(),
            turn: 0,
            sent: Sent::default(),
            frames: [data(200), data(80)],
            daemons,
            _other_host: other,
        })
    }

    /// Lets calls come and go for this long. `each` is called at every tick.
    pub(crate) fn last(
        &mut self,
        whole: Duration,
        each: &mut dyn FnMut(Duration) -> Result<(), super::Error>,
    ) -> Result<(), super::Error> {
        let begun = Instant::now();
        let (mut set_up, mut carried) = (0.0, 0.0);
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= whole {
                return Ok(());
            }
            let due = elapsed.as_secs_f64() * self.setups_per_second;
            while set_up < due {
                set_up += 1.0;
                self.another()?;
            }
            // As many calls as there are now, since the last tick.
            carried += TICK.as_secs_f64() * DATA_PER_SECOND * self.live.len() as f64;
            while carried >= 1.0 {
                carried -= 1.0;
                self.carry()?;
            }
            each(elapsed)?;
            thread::sleep(TICK.saturating_sub(begun.elapsed().saturating_sub(elapsed)));
        }
    }

    /// Clients that take turns: each calls again, but none so often that it is a finding.
    pub(crate) const fn clients(&self) -> u64 {
        8 * self.up as u64
    }

    /// One call more; of too many the oldest goes.
    fn another(&mut self) -> io::Result<()> {
        let client = (self.calls % self.clients()) as u32;
        let call = Live { number: self.calls, client, next: self.maker.set_up(client)? };
        if let Some(daemons) = &mut self.daemons {
            daemons.set_up(call.number, &Ends::of(client))?;
        }
        self.live.push_back(call);
        self.calls += 1;
        if self.live.len() > self.up {
            self.one_less()?;
        }
        Ok(())
    }

    fn one_less(&mut self) -> io::Result<()> {
        if let Some(Live { number, client, next }) = self.live.pop_front() {
            self.maker.tear_down(client, next)?;
            if let Some(daemons) = &mut self.daemons {
                daemons.tear_down(number, &Ends::of(client))?;
            }
            self.sent.calls += 1;
            // Its goodbye is a packet more.
            self.sent.from_clients += u64::from(next.client) + 1;
            self.sent.from_server += u64::from(next.server);
            self.turn = self.turn.saturating_sub(1);
        }
        Ok(())
    }

    fn carry(&mut self) -> io::Result<()> {
        let turn = self.turn.checked_rem(self.live.len()).unwrap_or(0);
        if let Some(call) = self.live.get_mut(turn) {
            let [down, up] = &self.frames;
            self.maker.carry(call.client, &mut call.next, down, up)?;
        }
        self.turn = turn + 1;
        Ok(())
    }

    /// Ends all calls; what was sent.
    pub(crate) fn end(mut self) -> Result<Sent, super::Error> {
        while !self.live.is_empty() {
            self.one_less()?;
            // No faster than they came.
            thread::sleep(
                Duration::from_secs_f64(1.0 / self.setups_per_second).min(Duration::from_millis(2)),
            );
        }
        // The agent reports a call a second after its end.
        thread::sleep(Duration::from_secs(4));
        let lines = self.daemons.map_or(0, |daemons| daemons.lines);
        Ok(Sent { packets: self.packets.get(), lines, ..self.sent })
    }
}

/// A process in a network namespace of its own, which keeps that alive.
struct OtherHost(Child);

impl OtherHost {
    fn begin() -> Result<Self, super::Error> {
        let mut command = Command::new("sleep");
        command.arg("infinity");
        // SAFETY: one system call between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::unshare(libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        Ok(Self(command.spawn()?))
    }

    /// Runs `work` in its network; this thread returns to its own.
    fn within<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        let own = File::open("/proc/thread-self/ns/net")?;
        let other = File::open(format!("/proc/{}/ns/net", self.0.id()))?;
        let enter = |namespace: &File| {
            // SAFETY: a plain system call with an open descriptor.
            match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        enter(&other)?;
        let result = work();
        enter(&own)?;
        Ok(result)
    }
}

impl Drop for OtherHost {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
