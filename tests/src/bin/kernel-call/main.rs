//! One end of a PPTP call in the kernel: what accel-ppp, or pppd with its pptp plugin, does with the
//! kernel, and nothing else.
//!
//! Two of these, in two network namespaces, are a whole call through `pptp.ko`, `ppp_generic` and
//! `ppp_mppe`: each opens a `PX_PROTO_PPTP` socket (or a pty with the line discipline `N_PPP`), puts a
//! ppp unit on it and negotiates LCP, CCP and IPCP with the other. Then it does what its standard input
//! says, one command a line, and answers each with a line `ok COMMAND` or `error COMMAND: REASON`.
//!
//! | command | what it does |
//! |---|---|
//! | `open` | sends an LCP Configure-Request |
//! | `mppe BITS` | installs MPPE in both directions; BITS is the value of its option, `01000040` being 128 bits stateless |
//! | `ccp BITS` | sends a CCP Configure-Request for it; both ends must have it installed |
//! | `ipcp ADDRESS` | sends an IPCP Configure-Request for this end's address |
//! | `demand` | lets the kernel refuse to send without encryption (`SC_MUST_COMP`) |
//! | `npmode pass\|drop` | opens or closes the unit for IPv4, as pppd does around IPCP |
//! | `read on\|off` | whether frames that wait in the kernel are read: off is a pppd that hangs |
//! | `unit HEX`, `channel HEX` | sends a frame through the unit, or past it |
//! | `line HEX` | writes bytes to the pty as its other end (with `--pty`) |
//! | `frame good\|damaged HEX` | the same for a frame of RFC 1662, with a right or wrong checksum |
//! | `settled` | answers when every request so far was acknowledged |
//! | `quit` | ends |

#![allow(clippy::print_stdout, reason = "its output is its answer")]

mod control;
mod hdlc;
mod link;
mod negotiation;
mod unit;

use std::io::{self, BufRead, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use link::{Link, PptpEnds};
use negotiation::Peer;
use unit::Unit;

/// One end of a PPTP call in the kernel.
#[derive(Parser)]
struct Arguments {
    /// This end's address.
    #[arg(long, default_value = "0.0.0.0")]
    local: Ipv4Addr,
    /// The other end's address.
    #[arg(long, default_value = "0.0.0.0")]
    peer: Ipv4Addr,
    /// Call id on which this end receives.
    #[arg(long, default_value_t = 0)]
    local_call: u16,
    /// Call id on which the other end receives.
    #[arg(long, default_value_t = 0)]
    peer_call: u16,
    /// Take the control connection of the call on port 1723.
    #[arg(long, conflicts_with = "dial")]
    listen: bool,
    /// Open the control connection to the peer.
    #[arg(long)]
    dial: bool,
    /// Number of the ppp unit.
    #[arg(long, default_value_t = 0)]
    unit: i32,
    /// MRU of this end.
    #[arg(long, default_value_t = 1400)]
    mru: u16,
    /// A pty instead of the kernel's PPTP socket: nobody is at its other end but the command `line`.
    #[arg(long)]
    pty: bool,
}

/// How often it looks for frames while no command comes.
const POLL: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kernel-call: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> io::Result<()> {
    let link = if arguments.pty {
        Link::pty()?
    } else {
        Link::pptp(PptpEnds {
            local: (arguments.local, arguments.local_call),
            peer: (arguments.peer, arguments.peer_call),
        })?
    };
    if arguments.listen {
        control::listen(arguments.local, arguments.local_call)?;
    }
    let _connection =
        if arguments.dial { Some(control::dial(arguments.peer, arguments.local_call)?) } else { None };
    let mut end =
        End { peer: Peer::new(arguments.mru), unit: Unit::new(&link, arguments)?, link, reads: true };
    answer(&format!("ok ready ppp{}", arguments.unit))?;

    let (sender, commands) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        end.take_frames()?;
        let line = match commands.recv_timeout(POLL) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let line = line.trim();
        match line {
            "quit" => return Ok(()),
            "settled" => end.settle()?,
            _ => {}
        }
        match end.obey(line) {
            Ok(()) => answer(&format!("ok {line}"))?,
            Err(error) => answer(&format!("error {line}: {error}"))?,
        }
    }
}

/// One line to whoever gave the command.
fn answer(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// This end of the call.
struct End {
    link: Link,
    unit: Unit,
    peer: Peer,
    /// Whether it reads what waits for pppd.
    reads: bool,
}

impl End {
    fn obey(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("open"), None, None) => self.unit.send_channel(&self.peer.lcp_request()),
            (Some("mppe"), Some(bits), None) => self.unit.install_mppe(four(&bytes(bits)?)?),
            (Some("ccp"), Some(bits), None) => {
                self.unit.send_unit(&self.peer.ccp_request(four(&bytes(bits)?)?))
            }
            (Some("ipcp"), Some(address), None) => {
                let address: Ipv4Addr = address.parse().map_err(invalid)?;
                self.unit.send_unit(&self.peer.ipcp_request(address))
            }
            (Some("demand"), None, None) => self.unit.demand_encryption(),
            (Some("npmode"), Some(mode @ ("pass" | "drop")), None) => self.unit.set_npmode(mode == "pass"),
            (Some("read"), Some(word @ ("on" | "off")), None) => {
                self.reads = word == "on";
                Ok(())
            }
            (Some("unit"), Some(hex), None) => self.unit.send_unit(&bytes(hex)?),
            (Some("channel"), Some(hex), None) => self.unit.send_channel(&bytes(hex)?),
            (Some("line"), Some(hex), None) => self.link.write_line(&bytes(hex)?),
            (Some("frame"), Some(kind @ ("good" | "damaged")), Some(hex)) => {
                self.link.write_line(&hdlc::encode(&bytes(hex)?, kind == "good"))
            }
            (Some("settled"), None, None) => Ok(()),
            _ => Err(invalid("no such command")),
        }
    }

    /// Reads what the kernel has for pppd, and answers it.
    fn take_frames(&mut self) -> io::Result<()> {
        self.link.drain()?;
        if !self.reads {
            return Ok(());
        }
        while let Some(frame) = self.unit.receive_channel()? {
            if let Some(reply) = self.peer.reply(&frame) {
                self.unit.send_channel(&reply)?;
            }
        }
        while let Some(frame) = self.unit.receive_unit()? {
            if let Some(reply) = self.peer.reply(&frame) {
                self.unit.send_unit(&reply)?;
            }
        }
        if self.peer.take_ccp_up() {
            self.unit.ccp_is_up()?;
        }
        Ok(())
    }

    /// Until the other end has acknowledged everything.
    fn settle(&mut self) -> io::Result<()> {
        while self.peer.waits() {
            self.take_frames()?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// The bytes that hexadecimal digits stand for.
fn bytes(hex: &str) -> io::Result<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return Err(invalid("not pairs of hexadecimal digits"));
    }
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).map_err(invalid)).collect()
}

fn four(bytes: &[u8]) -> io::Result<[u8; 4]> {
    bytes.try_into().map_err(|_| invalid("not four bytes"))
}
