//! The control connection of a call, as short as RFC 2637 allows.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

/// Types of control messages (RFC 2637, section 1.4), each with its length.
const START_REQUEST: (u16, usize) = (1, 156);
const START_REPLY: (u16, usize) = (2, 156);
const CALL_REQUEST: (u16, usize) = (7, 168);
const CALL_REPLY: (u16, usize) = (8, 32);

const PORT: u16 = 1723;

/// The PNS: opens the connection and asks for the call. The connection lives as long as what is
/// returned.
pub(crate) fn dial(server: Ipv4Addr, call_id: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(SocketAddrV4::new(server, PORT))?;
    let mut request = message(START_REQUEST);
    request[12..14].copy_from_slice(&[1, 0]);
    stream.write_all(&request)?;
    receive(&mut stream, START_REPLY)?;
    let mut request = message(CALL_REQUEST);
    request[12..14].copy_from_slice(&call_id.to_be_bytes());
    request[32..34].copy_from_slice(&64_u16.to_be_bytes());
    stream.write_all(&request)?;
    receive(&mut stream, CALL_REPLY)?;
    Ok(stream)
}

/// The PAC: answers one client, in the background.
pub(crate) fn listen(address: Ipv4Addr, call_id: u16) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddrV4::new(address, PORT))?;
    std::thread::spawn(move || match answer(&listener, call_id) {
        Ok(()) => {}
        Err(error) => eprintln!("kernel-call: control connection: {error}"),
    });
    Ok(())
}

fn answer(listener: &TcpListener, call_id: u16) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    receive(&mut stream, START_REQUEST)?;
    let mut reply = message(START_REPLY);
    reply[12..15].copy_from_slice(&[1, 0, 1]);
    stream.write_all(&reply)?;
    let request = receive(&mut stream, CALL_REQUEST)?;
    let mut reply = message(CALL_REPLY);
    reply[12..14].copy_from_slice(&call_id.to_be_bytes());
    reply[14..16].copy_from_slice(&request[12..14]);
    reply[16] = 1;
    reply[24..26].copy_from_slice(&64_u16.to_be_bytes());
    stream.write_all(&reply)?;
    // Until the client closes.
    io::copy(&mut stream, &mut io::sink())?;
    Ok(())
}

/// Length, message type, magic cookie and control message type (section 1.4); the rest is zero.
fn message((kind, length): (u16, usize)) -> Vec<u8> {
    let mut message = vec![0; length];
    message[..2].copy_from_slice(&u16::try_from(length).unwrap_or(0).to_be_bytes());
    message[3] = 1;
    message[4..8].copy_from_slice(&0x1a2b_3c4d_u32.to_be_bytes());
    message[8..10].copy_from_slice(&kind.to_be_bytes());
    message
}

fn receive(stream: &mut TcpStream, (kind, length): (u16, usize)) -> io::Result<Vec<u8>> {
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    if message[8..10] != kind.to_be_bytes() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("this is no message {kind}")));
    }
    Ok(message)
}
