//! A ppp unit and its channel, through /dev/ppp (include/uapi/linux/ppp-ioctl.h).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use super::Arguments;
use super::link::{Link, check};

/// Requests, all of the letter 't'.
const PPPIOCSNPMODE: u64 = write_request(75, size_of::<Npioctl>());
const PPPIOCSCOMPRESS: u64 = write_request(77, size_of::<PppOptionData>());
const PPPIOCSMRU: u64 = write_request(82, 4);
const PPPIOCSFLAGS: u64 = write_request(89, 4);
const PPPIOCATTCHAN: u64 = write_request(56, 4);
const PPPIOCCONNECT: u64 = write_request(58, 4);
const PPPIOCGCHAN: u64 = READ | request(55, 4);
const PPPIOCGFLAGS: u64 = READ | request(90, 4);
const PPPIOCNEWUNIT: u64 = READ | write_request(62, 4);

/// Flags of a unit.
const SC_CCP_OPEN: i32 = 0x0000_0040;
const SC_CCP_UP: i32 = 0x0000_0080;
const SC_MUST_COMP: i32 = 0x0040_0000;

/// `enum NPmode`.
const NPMODE_PASS: libc::c_int = 0;
const NPMODE_DROP: libc::c_int = 1;

/// IPv4 (IANA's PPP protocol numbers).
const PPP_IP: libc::c_int = 0x21;

/// CI_MPPE and CILEN_MPPE, then the key: what `mppe_alloc` wants.
const MPPE_OPTION: [u8; 2] = [18, 6];
const MPPE_KEY: usize = 16;

/// No frame is longer.
const FRAME: usize = 4096;

const READ: u64 = 2 << 30;

const fn request(number: u64, size: usize) -> u64 {
    ((size as u64) << 16) | ((b't' as u64) << 8) | number
}

const fn write_request(number: u64, size: usize) -> u64 {
    (1 << 30) | request(number, size)
}

#[repr(C)]
struct PppOptionData {
    pointer: *const u8,
    length: u32,
    transmit: libc::c_int,
}

#[repr(C)]
struct Npioctl {
    protocol: libc::c_int,
    mode: libc::c_int,
}

/// A unit with one channel.
pub(crate) struct Unit {
    unit: File,
    channel: File,
}

impl Unit {
    /// Makes the unit and puts it on the link.
    pub(crate) fn new(link: &Link, arguments: &Arguments) -> io::Result<Self> {
        let mut index: libc::c_int = 0;
        ioctl(link.fd(), PPPIOCGCHAN, &raw mut index)?;
        let (channel, unit) = (device()?, device()?);
        ioctl(channel.as_raw_fd(), PPPIOCATTCHAN, &raw mut index)?;
        let mut number: libc::c_int = arguments.unit;
        ioctl(unit.as_raw_fd(), PPPIOCNEWUNIT, &raw mut number)?;
        ioctl(channel.as_raw_fd(), PPPIOCCONNECT, &raw mut number)?;
        let mut mru = libc::c_int::from(arguments.mru);
        ioctl(unit.as_raw_fd(), PPPIOCSMRU, &raw mut mru)?;
        Ok(Self { unit, channel })
    }

    /// Installs encryption and decryption, with a key that is everybody's: nothing here is secret.
    /// Frames are encrypted from the moment at which the kernel sees the acknowledgements of CCP.
    pub(crate) fn install_mppe(&self, bits: [u8; 4]) -> io::Result<()> {
        let mut option = MPPE_OPTION.to_vec();
        option.extend_from_slice(&bits);
        option.extend_from_slice(&[0x42; MPPE_KEY]);
        for transmit in [0, 1] {
            let length = u32::try_from(option.len()).unwrap_or(0);
            let mut data = PppOptionData { pointer: option.as_ptr(), length, transmit };
            ioctl(self.unit.as_raw_fd(), PPPIOCSCOMPRESS, &raw mut data)?;
        }
        self.add_flags(SC_CCP_OPEN)
    }

    /// CCP is agreed in both directions.
    pub(crate) fn ccp_is_up(&self) -> io::Result<()> {
        self.add_flags(SC_CCP_UP)
    }

    /// Nothing is sent without encryption from now on.
    pub(crate) fn demand_encryption(&self) -> io::Result<()> {
        self.add_flags(SC_MUST_COMP)
    }

    pub(crate) fn set_npmode(&self, pass: bool) -> io::Result<()> {
        let mode = if pass { NPMODE_PASS } else { NPMODE_DROP };
        let mut setting = Npioctl { protocol: PPP_IP, mode };
        ioctl(self.unit.as_raw_fd(), PPPIOCSNPMODE, &raw mut setting)
    }

    pub(crate) fn send_unit(&self, frame: &[u8]) -> io::Result<()> {
        (&self.unit).write_all(frame)
    }

    pub(crate) fn send_channel(&self, frame: &[u8]) -> io::Result<()> {
        (&self.channel).write_all(frame)
    }

    pub(crate) fn receive_unit(&self) -> io::Result<Option<Vec<u8>>> {
        receive(self.unit.as_raw_fd())
    }

    pub(crate) fn receive_channel(&self) -> io::Result<Option<Vec<u8>>> {
        receive(self.channel.as_raw_fd())
    }

    fn add_flags(&self, more: i32) -> io::Result<()> {
        let mut flags: libc::c_int = 0;
        ioctl(self.unit.as_raw_fd(), PPPIOCGFLAGS, &raw mut flags)?;
        flags |= more;
        ioctl(self.unit.as_raw_fd(), PPPIOCSFLAGS, &raw mut flags)
    }
}

fn device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/ppp")
}

/// What a descriptor has to read now; None when it has nothing.
pub(crate) fn receive(fd: RawFd) -> io::Result<Option<Vec<u8>>> {
    let mut frame = vec![0; FRAME];
    // SAFETY: the buffer is as long as is said.
    let length = unsafe { libc::read(fd, frame.as_mut_ptr().cast(), frame.len()) };
    match usize::try_from(length) {
        Ok(0) => Ok(None),
        Ok(length) => {
            frame.truncate(length);
            Ok(Some(frame))
        }
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error => Err(error),
        },
    }
}

fn ioctl<T>(fd: RawFd, request: u64, argument: *mut T) -> io::Result<()> {
    // SAFETY: every caller passes the structure that its request is defined with, and it lives
    // through the call.
    check(unsafe { libc::ioctl(fd, request as _, argument) }).map(drop)
}
