//! A TCP connection to a receiver that never answers, as syslog daemons are, with TLS where it is asked for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long connecting, the handshake and a write may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a receiver may take to refuse us.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(1);

/// The first address of `HOST:PORT`.
pub(super) fn resolve(address: &str) -> io::Result<SocketAddr> {
    address.to_socket_addrs()?.next().ok_or_else(|| without_address(address))
}

fn without_address(address: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{address} has no address"))
}

/// Connects to the first of `addresses` that answers; None when there are none. A host name often has an address
/// on which the receiver does not listen: `::1` of localhost. All of them together take no longer than `timeout`,
/// of which one that is silent takes no more than its part.
fn connect_one(addresses: &[SocketAddr], timeout: Duration) -> io::Result<Option<TcpStream>> {
    let deadline = Instant::now() + timeout;
    let mut failure = None;
    for (left, address) in (1..=addresses.len() as u32).rev().zip(addresses) {
        let part = deadline.saturating_duration_since(Instant::now()) / left;
        // Zero is not allowed.
        match TcpStream::connect_timeout(address, part.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// See the module.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects to `HOST:PORT`; with TLS the receiver must be HOST by its certificate.
    pub(super) fn connect(address: &str, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let Some(mut stream) = connect_one(&addresses, TIMEOUT)? else {
            return Err(without_address(address));
        };
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        await_verdict(&mut session, &mut stream)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// Finds out whether the other end has closed, without waiting: what is written to it then is lost.
    ///
    /// # Errors
    /// Why nothing can be written.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let socket = match self {
            Self::Plain(stream) => &*stream,
            Self::Tls(stream) => stream.get_ref(),
        };
        socket.set_nonblocking(true)?;
        let result = self.drain();
        let socket = match self {
            Self::Plain(stream) => &*stream,
            Self::Tls(stream) => stream.get_ref(),
        };
        socket.set_nonblocking(false)?;
        result
    }

    /// Reads what is there, and forgets it.
    fn drain(&mut self) -> io::Result<()> {
        let mut block = [0; 1024];
        loop {
            let read = match self {
                Self::Plain(stream) => stream.read(&mut block),
                Self::Tls(stream) => stream.read(&mut block),
            };
            match read {
                Ok(0) => return Err(io::Error::new(ErrorKind::ConnectionAborted, "the receiver has closed")),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes all of it.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }
}

/// With TLS 1.3 the handshake is over for us before the receiver has looked at our certificate. It says next to
/// nothing if it likes it (a ticket), else it closes.
fn await_verdict(session: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(VERDICT_TIMEOUT))?;
    match session.read_tls(stream) {
        Ok(0) => return Err(io::Error::new(ErrorKind::ConnectionAborted, "the receiver has closed")),
        Ok(_) => {
            session.process_new_packets().map_err(io::Error::other)?;
        }
        // Not all say something.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(error) => return Err(error),
    }
    stream.set_read_timeout(Some(TIMEOUT))
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            // Without it the receiver must take the end for an attack (RFC 5425, section 4.4).
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::tls::testing::Authority;
    use crate::tls::{Client, Identity};

    /// Takes one connection, and gives what came on it, and whether it ended as it should.
    fn server(config: Arc<ServerConfig>) -> (String, thread::JoinHandle<io::Result<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            let session = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut text = String::new();
            // An end without close_notify is an error.
            StreamOwned::new(session, stream).read_to_string(&mut text)?;
            Ok(text)
        });
        (format!("localhost:{port}"), taken)
    }

    fn config(authority: &Authority, identity: Option<Identity>) -> Arc<ClientConfig> {
        Client::new(Some(&authority.path("ca.pem")), identity).unwrap().stream().unwrap()
    }

    #[test]
    fn writes_to_whom_the_authority_vouches_for_and_says_goodbye() {
        let authority = Authority::new("stream-good");
        let (address, taken) = server(authority.issue("localhost").server().unwrap());
        let mut stream = Stream::connect(&address, Some(&config(&authority, None))).unwrap();
        for _ in 0..3 {
            stream.check().unwrap();
            stream.write_all(b"5 hello").unwrap();
        }
        drop(stream);
        assert_eq!(taken.join().unwrap().unwrap(), "5 hello5 hello5 hello");
    }

    #[test]
    fn writes_to_nobody_else() {
        let (authority, stranger) = (Authority::new("stream-ours"), Authority::new("stream-theirs"));
        for identity in [stranger.issue("localhost"), authority.issue("other.example")] {
            let (address, taken) = server(identity.server().unwrap());
            let error = Stream::connect(&address, Some(&config(&authority, None))).unwrap_err();
            assert!(error.to_string().contains("invalid peer certificate"), "{error}");
            assert!(taken.join().unwrap().is_err());
        }
    }

    #[test]
    fn a_receiver_that_wants_to_know_us_does() {
        let authority = Authority::new("stream-mutual");
        let (address, taken) = server(authority.strict_server(authority.issue("localhost")));
        let known = config(&authority, Some(authority.issue("vpn")));
        let mut stream = Stream::connect(&address, Some(&known)).unwrap();
        stream.write_all(b"1 x").unwrap();
        drop(stream);
        assert_eq!(taken.join().unwrap().unwrap(), "1 x");

        let (address, taken) = server(authority.strict_server(authority.issue("localhost")));
        let error = Stream::connect(&address, Some(&config(&authority, None))).unwrap_err();
        assert!(taken.join().unwrap().is_err());
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    }

    #[test]
    fn a_host_is_reached_at_any_of_its_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        // Nobody listens there any more.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // The kernel answers nobody whom a full queue has no place for.
        let full = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = full.local_addr().unwrap();
        let patience = Duration::from_millis(200);
        let fill = || (0..10_000).map_while(|_| TcpStream::connect_timeout(&silent, patience).ok());
        let waiting: Vec<_> = fill().collect();
        assert!(waiting.len() < 10_000);

        let limit = Duration::from_secs(2);
        for addresses in [&[closed, here][..], &[silent, here], &[silent, closed, silent, here]] {
            let begun = Instant::now();
            let stream = connect_one(addresses, limit).unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), here);
            assert!(begun.elapsed() < limit);
        }
        let begun = Instant::now();
        let error = connect_one(&[silent, silent, closed], limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        assert!(begun.elapsed() < limit * 2, "{:?}", begun.elapsed());
        assert!(connect_one(&[], limit).unwrap().is_none());
    }

    #[test]
    fn the_end_of_a_plain_connection_is_seen_before_something_is_lost_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = Stream::connect(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let (there, _) = listener.accept().unwrap();
        stream.check().unwrap();
        drop(there);
        assert_eq!(stream.check().unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }
}
