//! A namespace with a veth pair: frames go in at one end, IP datagrams come out at the other.

use std::io;

use pptpscope_tests::flood::Flood;
use pptpscope_tests::namespace;

/// The watched end.
pub(crate) const WATCHED: &str = "w0";
const PEER: &str = "p0";

/// Calls that take turns.
pub(crate) const CALLS: u32 = 64;

/// Offsets in the frame: Ethernet, IPv4, GRE up to the field.
const CALL_ID: usize = 14 + 20 + 6;
const SEQUENCE: usize = 14 + 20 + 8;

/// The namespace, entered by this thread.
pub(crate) struct Link {
    peer: u32,
}

impl Link {
    /// Enters a new namespace and stays on one CPU.
    pub(crate) fn new() -> Result<Self, String> {
        namespace::enter()?;
        for arguments in [
            "link add w0 type veth peer name p0",
            "link set w0 addrgenmode none address 02:00:00:00:00:01",
            "link set p0 addrgenmode none address 02:00:00:00:00:02",
            "link set w0 up",
            "link set p0 up",
            "address add 192.0.2.1/24 dev w0",
            "neighbour add 192.0.2.10 lladdr 02:00:00:00:00:02 dev w0",
        ] {
            namespace::run("ip", arguments)?;
        }
        Ok(Self { peer: namespace::index_of(PEER)? })
    }

    /// A sender of packets with `size` bytes of PPP, as MPPE makes them.
    pub(crate) fn sender(&self, size: u16) -> io::Result<Sender> {
        let total = 20 + 12 + size;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend(total.to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 47, 0, 0, 192, 0, 2, 10, 192, 0, 2, 1]);
        let sum: u32 = frame[14..]
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
            .sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame.extend([0x30, 0x01, 0x88, 0x0b]);
        frame.extend(size.to_be_bytes());
        frame.extend([0; 6]);
        frame.extend([0xfd, 0x90, 0]);
        frame.extend((0..size - 3).map(|byte| (byte * 7) as u8));
        stay_on_last_cpu()?;
        Ok(Sender { flood: Flood::new(self.peer, &frame, true)?, sent: 0 })
    }
}

/// Sends data of all calls in turn, each with sequence numbers of its own.
pub(crate) struct Sender {
    flood: Flood,
    sent: u32,
}

impl Sender {
    pub(crate) fn burst(&mut self, packets: u32) -> io::Result<()> {
        let first = self.sent;
        self.sent = first.wrapping_add(packets);
        self.flood.send((0..packets).map(|number| first.wrapping_add(number)), |frame, number| {
            let call_id = (number % CALLS + 1) as u16;
            if let Some(field) = frame.get_mut(CALL_ID..CALL_ID + 2) {
                field.copy_from_slice(&call_id.to_be_bytes());
            }
            if let Some(field) = frame.get_mut(SEQUENCE..SEQUENCE + 4) {
                field.copy_from_slice(&(number / CALLS).to_be_bytes());
            }
        })
    }
}

/// This thread, and not the programs that it starts afterwards: those get their own choice back.
fn stay_on_last_cpu() -> io::Result<()> {
    // SAFETY: the set is valid for the calls.
    let result = unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&cpus), &raw mut cpus);
        let last = (0..libc::CPU_SETSIZE as usize).rfind(|cpu| libc::CPU_ISSET(*cpu, &cpus)).unwrap_or(0);
        libc::CPU_ZERO(&mut cpus);
        libc::CPU_SET(last, &mut cpus);
        libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
