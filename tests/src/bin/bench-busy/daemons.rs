//! What pptpd and pppd say of the calls, as rsyslog writes it into a file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use pptpscope_tests::generate::Ends;

/// Process ids from here on: no kernel has them, so that none is of this machine.
const FIRST_PID: u64 = 5_000_000;

/// Number of the call that a process serves.
pub(crate) fn number_of(pid: u64) -> Option<u64> {
    Some(pid.checked_sub(FIRST_PID)? / 2)
}

/// Both daemons of each call.
pub(crate) struct Daemons {
    log: File,
    /// Lines that they have written.
    pub(crate) lines: u64,
}

impl Daemons {
    pub(crate) fn new(log: &Path) -> io::Result<Self> {
        Ok(Self { log: File::create(log)?, lines: 0 })
    }

    /// The call with this number, which no other call has, comes up.
    pub(crate) fn set_up(&mut self, number: u64, ends: &Ends) -> io::Result<()> {
        let Ends { client, tunnel_client, tunnel_server, .. } = ends;
        let interface = format!("ppp{}", number % 4096);
        self.say(
            number,
            &[
                format!("CTRL: Client {client} control connection started"),
                "CTRL: Starting call (launching pppd, opening GRE)".into(),
            ],
            &[
                "Plugin /usr/lib/pptpd/pptpd-logwtmp.so loaded.".into(),
                "pppd 2.4.9 started by root, uid 0".into(),
                format!("Using interface {interface}"),
                format!("Connect: {interface} <--> /dev/pts/{}", number % 4096),
                format!("peer from calling number {client} authorized"),
                "MPPE 128-bit stateless compression enabled".into(),
                format!("local  IP address {tunnel_server}"),
                format!("remote IP address {tunnel_client}"),
            ],
        )
    }

    /// It ends because its client says so.
    pub(crate) fn tear_down(&mut self, number: u64, ends: &Ends) -> io::Result<()> {
        let client = ends.client;
        self.say(
            number,
            &[],
            &[
                "LCP terminated by peer (User request)".into(),
                "Connect time 0.3 minutes.".into(),
                "Sent 7777 bytes, received 3333 bytes.".into(),
                "Modem hangup".into(),
                "Connection terminated.".into(),
                "Exit.".into(),
            ],
        )?;
        self.say(number, &[format!("CTRL: Client {client} control connection finished")], &[])
    }

    fn say(&mut self, number: u64, worker: &[String], pppd: &[String]) -> io::Result<()> {
        let now = jiff::Timestamp::now();
        let pid = FIRST_PID + 2 * number;
        let mut text = String::new();
        let lines = worker.iter().map(|line| ("pptpd", pid, line));
        for (program, pid, line) in lines.chain(pppd.iter().map(|line| ("pppd", pid + 1, line))) {
            // A String takes everything.
            let _ = writeln!(text, "{now:.6} vpn {program}[{pid}]: {line}");
            self.lines += 1;
        }
        self.log.write_all(text.as_bytes())
    }
}
