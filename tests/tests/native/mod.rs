//! A network namespace with a veth pair: the programs watch one end, the test sends frames from
//! either end.
//!
//! These tests need root, BPF and iproute2. Where that is missing they say so and do nothing; with
//! `PPTPSCOPE_NATIVE=require` in the environment they fail instead.
#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

pub(crate) mod frame;

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pptpscope::kernel::{Attachment, Config, Device, Devices, IngressMode, Kernel, Records};
use pptpscope_common::{Account, Direction, Flow, FlowKey, Kind, RecordHeader, Refusal};

use frame::{CLIENT, Gre, Ip, SERVER, ethernet};

/// The watched end, and the other one.
pub(crate) const WATCHED: &str = "w0";
pub(crate) const PEER: &str = "p0";

/// How long anything may take before the test gives up. Only a failing
/// test ever waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a test in a namespace of its own, or says why it cannot.
pub(crate) fn in_namespace(name: &str, test: impl FnOnce() + Send + 'static) {
    // The ring of a kernel and 65,536 frames are enough for one CPU at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // A thread, because the namespace belongs to the thread and cannot be left.
    let outcome = std::thread::spawn(move || -> Result<(), String> {
        enter()?;
        test();
        Ok(())
    })
    .join();
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(reason)) if std::env::var_os("PPTPSCOPE_NATIVE").is_some_and(|value| value == "require") => {
            panic!("{name} cannot run: {reason}");
        }
        Ok(Err(reason)) => eprintln!("SKIPPED {name}: {reason}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn enter() -> Result<(), String> {
    pptpscope::kernel::check_privileges().map_err(|error| error.to_string())?;
    // SAFETY: changes the namespace of this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("no network namespace: {}", io::Error::last_os_error()));
    }
    // One CPU: packets of one sender then arrive in the order in which they were sent. The last one,
    // so that counters of the first CPU alone would not do.
    // SAFETY: the sets are valid for the calls.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&cpus), &raw mut cpus);
        let last = (0..libc::CPU_SETSIZE as usize).rfind(|cpu| libc::CPU_ISSET(*cpu, &cpus)).unwrap_or(0);
        libc::CPU_ZERO(&mut cpus);
        libc::CPU_SET(last, &mut cpus);
        libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus);
    }
    for arguments in [
        "link set lo up",
        "link add w0 type veth peer name p0",
        "link set w0 addrgenmode none",
        "link set p0 addrgenmode none",
        "link set w0 mtu 3000 up",
        "link set p0 mtu 3000 up",
    ] {
        run("ip", arguments)?;
    }
    Ok(())
}

/// Runs a command in the namespace of this thread. An underscore stands for a space within an
/// argument.
pub(crate) fn run(program: &str, arguments: &str) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments.split_whitespace().map(|argument| argument.replace('_', " ")))
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// What `Devices` says of a device.
pub(crate) fn device(name: &str) -> Device {
    Devices::open().unwrap().current().find(|device| device.name == name).unwrap().clone()
}

/// A tun device and its other side: packets written there are received, packets sent are read.
pub(crate) fn tun() -> File {
    let path = c"/dev/net/tun";
    // SAFETY: a valid path; the descriptor is owned from here on.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    assert!(fd >= 0, "no /dev/net/tun: {}", io::Error::last_os_error());
    // SAFETY: fresh from the system call.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // SAFETY: all zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"t0") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: the request is valid for the call.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &request) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    run("ip", "link set t0 up").unwrap();
    file
}

/// A packet socket on a device: frames from their first byte on.
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn on(index: u32) -> Self {
        // SAFETY: plain system calls; the descriptor is owned from here on.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0, "no packet socket: {}", io::Error::last_os_error());
        // SAFETY: fresh from the system call.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index as i32;
        // SAFETY: the address is valid and of the given size.
        let bound = unsafe {
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32)
        };
        assert_eq!(bound, 0, "cannot bind: {}", io::Error::last_os_error());
        Self(socket)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: the buffer is valid for its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(sent, frame.len() as isize, "cannot send: {}", io::Error::last_os_error());
    }
}

impl Wire {
    /// Also receives from now on.
    pub(crate) fn receive_all(&self) {
        let timeout = libc::timeval { tv_sec: PATIENCE.as_secs() as i64, tv_usec: 0 };
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut size = size_of_val(&address) as u32;
        // SAFETY: addresses and the option are valid and of the given sizes.
        unsafe {
            let fd = self.0.as_raw_fd();
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const timeout).cast(),
                size_of_val(&timeout) as u32,
            );
            libc::getsockname(fd, (&raw mut address).cast(), &raw mut size);
            address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            assert_eq!(libc::bind(fd, (&raw const address).cast(), size_of_val(&address) as u32), 0);
        }
    }

    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut frame = vec![0; 4096];
        // SAFETY: the buffer is valid for its length.
        let received = unsafe { libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        assert!(received >= 0, "nothing came: {}", io::Error::last_os_error());
        frame.truncate(received as usize);
        frame
    }
}

/// A record, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) header: RecordHeader,
    pub(crate) packet: Vec<u8>,
}

/// The programs on one device, and wires to send on.
pub(crate) struct Bench {
    pub(crate) kernel: Kernel,
    pub(crate) records: Records,
    pub(crate) attachment: Attachment,
    pub(crate) index: u32,
    direction: Direction,
    sender: Wire,
    /// Frames without link header.
    bare: bool,
    /// Packets that [`Bench::settle`] sent: all of them are [`Refusal::VersionUnknown`].
    markers: Cell<u64>,
    pub(crate) runtime: tokio::runtime::Runtime,
}

/// How the watched end is watched, and from which end the test sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// From the peer, seen by XDP.
    Xdp,
    /// From the peer, seen at TC ingress.
    Ingress,
    /// From the watched end, seen at TC egress.
    Egress,
}

impl Path {
    pub(crate) const ALL: [Self; 3] = [Self::Xdp, Self::Ingress, Self::Egress];
}

impl Bench {
    pub(crate) fn new(path: Path) -> Self {
        Self::with(path, &Config::default())
    }

    pub(crate) fn with(path: Path, config: &Config) -> Self {
        let runtime = runtime();
        let guard = runtime.enter();
        let device = device(WATCHED);
        let index = device.index;
        let mut kernel = Kernel::load(config).unwrap();
        let mode = if path == Path::Xdp { IngressMode::Xdp } else { IngressMode::Tc };
        let attachment = kernel.attach(&device, mode).unwrap();
        let records = kernel.records().unwrap().unwrap();
        let (direction, sender) = match path {
            Path::Xdp | Path::Ingress => (Direction::Ingress, self::device(PEER).index),
            Path::Egress => (Direction::Egress, index),
        };
        drop(guard);
        let sender = Wire::on(sender);
        Self {
            kernel,
            records,
            attachment,
            index,
            direction,
            sender,
            bare: false,
            markers: Cell::new(0),
            runtime,
        }
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        self.sender.send(frame);
    }

    /// Waits until everything that was sent has passed the programs: sends a packet that they refuse,
    /// and waits for the refusal.
    fn settle(&self) {
        let before = self.kernel.refusals().unwrap()[Refusal::VersionUnknown as usize];
        let last = Ip::new(47).build(&[0, 7, 0, 0]);
        self.send(&if self.bare { last } else { ethernet(0x0800, &last) });
        let end = Instant::now() + PATIENCE;
        while self.kernel.refusals().unwrap()[Refusal::VersionUnknown as usize] == before {
            assert!(Instant::now() < end, "the last packet never reached the programs");
            std::thread::yield_now();
        }
        self.markers.set(self.markers.get() + 1);
    }

    /// What was refused, after everything has passed.
    pub(crate) fn refusals(&self) -> [u64; Refusal::ALL.len()] {
        self.settle();
        let mut refusals = self.kernel.refusals().unwrap();
        refusals[Refusal::VersionUnknown as usize] -= self.markers.get();
        refusals
    }

    /// The flow of a call id from the client to the server, after everything has passed.
    pub(crate) fn flow(&self, call_id: u16) -> Option<Flow> {
        self.settle();
        let flows = self.kernel.flows().unwrap();
        flows.into_iter().find(|(key, _)| *key == self.key(call_id)).map(|(_, flow)| flow)
    }

    pub(crate) fn key(&self, call_id: u16) -> FlowKey {
        FlowKey { source: CLIENT, destination: SERVER, call_id, direction: self.direction as u8, _pad: 0 }
    }

    /// All records that there are now.
    pub(crate) fn drain(&mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        self.records.drain(usize::MAX, |header, packet| all.push(Seen { header, packet: packet.to_vec() }));
        assert_eq!(self.records.malformed(), 0);
        all
    }

    /// All records, after everything has passed.
    pub(crate) fn settled_records(&mut self) -> Vec<Seen> {
        self.settle();
        self.drain()
    }

    pub(crate) fn account(&self, kind: Kind) -> Account {
        self.kernel.accounts().unwrap()[kind as usize]
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The identity that holds for every kind, always.
pub(crate) fn assert_balanced(account: &Account) {
    assert_eq!(account.seen, account.submitted + account.ring_full + account.suppressed, "{account:?}");
}

/// A data packet of a call: PPP protocol 0x0021 without address and control field.
pub(crate) fn data(call_id: u16, sequence: u32, ack: Option<u32>) -> Gre {
    Gre { call_id, sequence: Some(sequence), ack, payload: vec![0x00, 0x21, 0x45, 0, 0, 0] }
}

/// A negotiation frame of a call: LCP Echo-Request.
pub(crate) fn echo(call_id: u16, sequence: u32) -> Gre {
    let payload = vec![0xff, 0x03, 0xc0, 0x21, 9, 0, 0, 8, 1, 2, 3, 4];
    Gre { call_id, sequence: Some(sequence), ack: None, payload }
}
