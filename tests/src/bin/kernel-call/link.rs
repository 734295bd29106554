//! What a ppp channel is on: the kernel's PPTP socket, or a pty.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `PX_PROTO_PPTP` (include/uapi/linux/if_pppox.h).
const PX_PROTO_PPTP: libc::c_int = 2;
/// `N_PPP` (include/uapi/linux/tty.h).
const N_PPP: libc::c_int = 3;

/// `struct sockaddr_pppox`, packed; its union is as long as `struct pppoe_addr`.
#[repr(C, packed)]
struct SockaddrPppox {
    family: libc::sa_family_t,
    protocol: libc::c_uint,
    /// `struct pptp_addr`: host byte order.
    call_id: u16,
    _gap: u16,
    /// Network byte order.
    address: [u8; 4],
    _rest: [u8; 16],
}

const _: () = assert!(size_of::<SockaddrPppox>() == 30);

/// Addresses and call ids.
pub(crate) struct PptpEnds {
    pub(crate) local: (Ipv4Addr, u16),
    pub(crate) peer: (Ipv4Addr, u16),
}

/// What the channel is on.
pub(crate) enum Link {
    /// A `PX_PROTO_PPTP` socket.
    Pptp(OwnedFd),
    /// A pty: the side of pppd, which has the line discipline, and that of pptpctrl.
    Pty { line: OwnedFd, master: OwnedFd },
}

impl Link {
    /// Opens the kernel's PPTP socket for a call.
    pub(crate) fn pptp(ends: PptpEnds) -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let socket = owned(unsafe { libc::socket(libc::AF_PPPOX, libc::SOCK_STREAM, PX_PROTO_PPTP) })?;
        let address = |(address, call_id): (Ipv4Addr, u16)| SockaddrPppox {
            family: libc::AF_PPPOX as libc::sa_family_t,
            protocol: PX_PROTO_PPTP as libc::c_uint,
            call_id,
            _gap: 0,
            address: address.octets(),
            _rest: [0; 16],
        };
        let length = size_of::<SockaddrPppox>() as libc::socklen_t;
        let (local, peer) = (address(ends.local), address(ends.peer));
        // SAFETY: the address is a live value of the length passed.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const local).cast(), length) })?;
        // SAFETY: as above.
        check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const peer).cast(), length) })?;
        Ok(Self::Pptp(socket))
    }

    /// Opens a pty and gives it to PPP.
    pub(crate) fn pty() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let master = owned(unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK) })?;
        // SAFETY: a live descriptor.
        check(unsafe { libc::grantpt(master.as_raw_fd()) })?;
        // SAFETY: a live descriptor.
        check(unsafe { libc::unlockpt(master.as_raw_fd()) })?;
        let mut name = [0; 64];
        // SAFETY: the buffer is as long as is said.
        let code = unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) };
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: ptsname_r has written a string that ends with a zero.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        // SAFETY: a string that ends with a zero.
        let line = owned(unsafe { libc::open(name.as_ptr(), libc::O_RDWR | libc::O_NOCTTY) })?;
        // SAFETY: all zeros is a valid value of this plain structure.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: plain structures of the right type.
        unsafe {
            check(libc::tcgetattr(line.as_raw_fd(), &raw mut settings))?;
            libc::cfmakeraw(&raw mut settings);
            check(libc::tcsetattr(line.as_raw_fd(), libc::TCSANOW, &raw const settings))?;
        }
        let discipline = N_PPP;
        // SAFETY: TIOCSETD reads an int.
        check(unsafe { libc::ioctl(line.as_raw_fd(), libc::TIOCSETD, &raw const discipline) })?;
        Ok(Self::Pty { line, master })
    }

    /// What PPP's ioctls are asked of.
    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::Pptp(socket) => socket.as_raw_fd(),
            Self::Pty { line, .. } => line.as_raw_fd(),
        }
    }

    /// Writes to the pty as pptpctrl does.
    pub(crate) fn write_line(&self, bytes: &[u8]) -> io::Result<()> {
        let Self::Pty { master, .. } = self else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "there is no pty"));
        };
        // SAFETY: the buffer is as long as is said.
        let written = unsafe { libc::write(master.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "the pty is full")),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Reads away what PPP sends to the pty.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let Self::Pty { master, .. } = self else { return Ok(()) };
        while super::unit::receive(master.as_raw_fd())?.is_some() {}
        Ok(())
    }
}

/// The descriptor that a system call returned.
pub(crate) fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: fresh from the kernel, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Turns a return value below zero into the error.
pub(crate) fn check(value: libc::c_int) -> io::Result<libc::c_int> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}
