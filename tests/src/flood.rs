//! Sends frames on an interface as fast as the kernel takes them.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Frames handed over with one system call.
const BATCH: usize = 64;

/// PACKET_QDISC_BYPASS (linux/if_packet.h).
const QDISC_BYPASS: libc::c_int = 20;

/// A packet socket on an interface, and frames of one shape to send on it.
pub struct Flood {
    socket: OwnedFd,
    frames: Vec<Vec<u8>>,
}

impl Flood {
    /// Frames like `frame` on the interface `index`.
    ///
    /// With `bypass` the interface's queueing discipline and egress hooks are left out.
    ///
    /// # Errors
    /// No packet socket: it takes root.
    pub fn new(index: u32, frame: &[u8], bypass: bool) -> io::Result<Self> {
        Ok(Self { socket: packet_socket(index, bypass)?, frames: vec![frame.to_vec(); BATCH] })
    }

    /// Sends a frame for each item, after `change` has made it that item's.
    ///
    /// # Errors
    /// The kernel does not take a frame.
    pub fn send<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut change: impl FnMut(&mut [u8], T),
    ) -> io::Result<()> {
        let mut items = items.into_iter();
        loop {
            let mut filled = 0;
            for frame in &mut self.frames {
                let Some(item) = items.next() else { break };
                change(frame, item);
                filled += 1;
            }
            if filled == 0 {
                return Ok(());
            }
            self.send_batch(filled)?;
        }
    }

    fn send_batch(&mut self, count: usize) -> io::Result<()> {
        let mut parts: Vec<libc::iovec> = self
            .frames
            .iter_mut()
            .take(count)
            .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: all zeros are a valid mmsghdr.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = part;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut sent = 0;
        while let Some(rest) = messages.get_mut(sent..).filter(|rest| !rest.is_empty()) {
            // SAFETY: the messages point to parts and frames that live as long as they.
            let result = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            };
            match usize::try_from(result) {
                Ok(more) => sent += more,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(())
    }
}

/// Sends frames one by one, as a program of this host does: through the queueing discipline.
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// A sender on the interface `index`.
    ///
    /// # Errors
    /// No packet socket: it takes root.
    pub fn new(index: u32) -> io::Result<Self> {
        Ok(Self { socket: packet_socket(index, false)? })
    }

    /// Sends an Ethernet frame.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the frame is valid for its length.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn packet_socket(index: u32, bypass: bool) -> io::Result<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fresh from the system call.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index.cast_signed();
    let on = libc::c_int::from(bypass);
    // SAFETY: the option and the address are valid and of the given sizes.
    let failed = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_PACKET,
            QDISC_BYPASS,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        ) != 0
            || libc::bind(fd, (&raw const address).cast(), size_of_val(&address) as libc::socklen_t) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}
