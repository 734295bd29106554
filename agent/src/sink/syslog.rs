//! A syslog daemon: RFC 5424, over UDP (RFC 5426), TCP with octet counting (RFC 6587, section 3.4.1), the same in
//! TLS (RFC 5425), or the datagram socket of this host. The message is the event as JSON.
//!
//! No crate: those at hand neither frame by RFC 6587 nor say how much of a batch went out.

use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use super::entry::Entry;
use super::stream::{Stream, TIMEOUT, resolve};
use super::worker::{Outlet, Progress};
use crate::event::Severity;

/// Facility daemon (RFC 5424, section 6.2.1).
const FACILITY: u8 = 3;

/// Where the daemon listens.
#[derive(Clone, Debug)]
pub enum Target {
    /// Host and port.
    Udp(String),
    /// Host and port.
    Tcp(String),
    /// Host and port, and what is needed to trust it.
    Tls(String, Arc<ClientConfig>),
    /// Path of a datagram socket, `/dev/log` as a rule.
    Unix(PathBuf),
}

#[derive(Debug)]
enum Connection {
    Udp(UdpSocket),
    Stream(Stream),
    Unix(UnixDatagram),
}

/// See the module.
#[derive(Debug)]
pub struct Syslog {
    target: Target,
    host: String,
    connection: Option<Connection>,
}

impl Syslog {
    /// Will send to `target`, as `host`.
    pub fn new(target: Target, host: &str) -> Self {
        // HOSTNAME: printable ASCII without spaces, 255 at most.
        let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        Self { target, host: if host.is_empty() { "-".into() } else { host }, connection: None }
    }

    fn connect(&self) -> io::Result<Connection> {
        Ok(match &self.target {
            Target::Udp(address) => {
                let to = resolve(address)?;
                let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Connection::Udp(socket)
            }
            Target::Tcp(address) => Connection::Stream(Stream::connect(address, None)?),
            Target::Tls(address, config) => Connection::Stream(Stream::connect(address, Some(config))?),
            Target::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(TIMEOUT))?;
                Connection::Unix(socket)
            }
        })
    }

    /// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG`.
    fn message(&self, entry: &Entry) -> Vec<u8> {
        let severity = match entry.severity {
            Severity::Info => 6,
            Severity::Notice => 5,
            Severity::Warning => 4,
        };
        // Microseconds: RFC 5424 allows no finer time.
        let time = entry.value()["ts"].as_str().and_then(|ts| ts.parse::<jiff::Timestamp>().ok());
        let time =
            time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
        let msgid: String = entry.event.chars().take(32).collect();
        let mut message = format!(
            "<{}>1 {time} {} pptpscope {} {msgid} - ",
            FACILITY * 8 + severity,
            self.host,
            std::process::id()
        )
        .into_bytes();
        message.extend_from_slice(entry.json());
        message
    }
}

impl Outlet for Syslog {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        if let Connection::Stream(stream) = &mut connection {
            stream.check()?;
        }
        for entry in entries {
            let message = self.message(entry);
            let sent = match &mut connection {
                Connection::Udp(socket) => socket.send(&message).map(drop),
                Connection::Unix(socket) => socket.send(&message).map(drop),
                Connection::Stream(stream) => {
                    let mut framed = format!("{} ", message.len()).into_bytes();
                    framed.extend_from_slice(&message);
                    stream.write_all(&framed)
                }
            };
            match sent {
                Ok(()) => progress.written += 1,
                // Longer than a datagram can be. It would be so the next time.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => progress.refused += 1,
                Err(error) => return Err(error),
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn entry(json: &str) -> Arc<Entry> {
        let line = format!("{json}\n").into_bytes();
        Arc::new(Entry { event: "session.end".into(), severity: Severity::Warning, line })
    }

    const EVENT: &str = r#"{"ts":"2026-01-02T03:04:05.123456789Z","event":"session.end"}"#;

    fn expected() -> String {
        let pid = std::process::id();
        format!("<28>1 2026-01-02T03:04:05.123456Z vpn pptpscope {pid} session.end - {EVENT}")
    }

    #[test]
    fn datagrams_are_rfc_5424_and_a_giant_does_not_stop_the_others() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = Target::Udp(receiver.local_addr().unwrap().to_string());
        let mut syslog = Syslog::new(target, "v p\nn");
        let mut progress = Progress::default();
        let giant = entry(&format!("\"{}\"", "x".repeat(70_000)));
        syslog.deliver(&[giant, entry(EVENT)], &mut progress).unwrap();
        assert_eq!(progress, Progress { written: 1, refused: 1 });
        let mut buffer = [0; 2048];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), expected());
    }

    #[test]
    fn tcp_counts_octets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut syslog = Syslog::new(Target::Tcp(listener.local_addr().unwrap().to_string()), "vpn");
        let mut progress = Progress::default();
        syslog.deliver(&[entry(EVENT), entry(EVENT)], &mut progress).unwrap();
        drop(syslog);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        let one = format!("{} {}", expected().len(), expected());
        assert_eq!(text, format!("{one}{one}"));
    }
}
