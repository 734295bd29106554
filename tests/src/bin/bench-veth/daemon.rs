//! What pptpd does with each packet that comes in: it asks which descriptor has something, reads the packet from its
//! raw socket, and writes the PPP frame, framed as RFC 1662 says in section 4. That goes to /dev/null and not to the
//! pseudo terminal of pppd: who reads there, and on which processor, differs from burst to burst by more than anybody
//! who watches costs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Receive buffer of the raw socket, bytes.
static ROOM: libc::c_int = 256 << 20;

/// Bytes of IPv4 and GRE in front of the PPP frame: no options, no acknowledgement.
const HEADERS: usize = 20 + 12;

/// RFC 1662, section 4.2 and appendix C.
const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
static FCS: [u16; 256] = fcs_table();

const fn fcs_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut value = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { (value >> 1) ^ 0x8408 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// The part of pptpd that gets what clients send.
pub(crate) struct Daemon {
    /// Gets every GRE packet.
    socket: OwnedFd,
    terminal: File,
    framed: Vec<u8>,
}

impl Daemon {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = raw_socket()?;
        let terminal = OpenOptions::new().write(true).open("/dev/null")?;
        Ok(Self { socket, terminal, framed: Vec::with_capacity(4096) })
    }

    /// Handles what has come in since the last time; returns how many packets.
    pub(crate) fn handle_all(&mut self) -> io::Result<u64> {
        let mut packets = 0;
        let mut packet = [0u8; 2048];
        while self.has_packet()? {
            // SAFETY: the buffer is valid for its length.
            let length =
                unsafe { libc::read(self.socket.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len()) };
            let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
            let frame = packet.get(HEADERS..length).unwrap_or_default();
            frame_as_hdlc(frame, &mut self.framed);
            self.terminal.write_all(&self.framed)?;
            packets += 1;
        }
        Ok(packets)
    }

    fn has_packet(&self) -> io::Result<bool> {
        let mut wanted = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid entry.
        match unsafe { libc::poll(&raw mut wanted, 1, 0) } {
            -1 => Err(io::Error::last_os_error()),
            ready => Ok(ready == 1),
        }
    }
}

/// Without a control character map, as pptpd: every control character is escaped.
fn frame_as_hdlc(frame: &[u8], framed: &mut Vec<u8>) {
    framed.clear();
    framed.push(FLAG);
    let mut put = |byte: u8| {
        if byte < 0x20 || byte == FLAG || byte == ESCAPE {
            framed.extend([ESCAPE, byte ^ 0x20]);
        } else {
            framed.push(byte);
        }
    };
    let mut fcs = 0xffff_u16;
    for byte in frame {
        fcs = (fcs >> 8) ^ FCS[usize::from((fcs as u8) ^ byte)];
        put(*byte);
    }
    (!fcs).to_le_bytes().into_iter().for_each(put);
    framed.push(FLAG);
}

/// A raw socket for GRE with room for a burst.
fn raw_socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 47) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fresh from the system call.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the option is valid for the call and of the given size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const ROOM).cast(),
            size_of_val(&ROOM) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_check_sequence_of_rfc_1662() {
        let mut framed = Vec::new();
        // The check value of CRC-16/X.25.
        frame_as_hdlc(b"123456789", &mut framed);
        assert_eq!(framed, [&[FLAG][..], b"123456789", &[0x6e, 0x90, FLAG]].concat());
        frame_as_hdlc(&[0x7e, 0x01, 0x20], &mut framed);
        assert!(framed.starts_with(&[FLAG, ESCAPE, 0x5e, ESCAPE, 0x21, 0x20]), "{framed:x?}");
    }
}
