//! Makes captures of calls that never were: for speed, for robustness, as food for fuzzing.
//!
//! The packets are what pptpd and a Windows client send, with MPPE data that is noise.

use std::io::{self, Write};
use std::net::Ipv4Addr;

const SERVER: [u8; 4] = [203, 0, 113, 1];
const MAGIC: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Calls.
    pub calls: u32,
    /// Calls that are up at the same time: the next so many begin when these are over.
    pub open: u32,
    /// Size of the file, bytes, at least: the calls are set up in any case.
    pub bytes: u64,
    /// PPP bytes of a data packet that the server sends.
    pub down: usize,
    /// PPP bytes of a data packet that the client sends.
    pub up: usize,
    /// Whether the calls end, or go on beyond the capture.
    pub ends: bool,
}

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Data packets of each direction of the first call.
    pub data_of_first: u64,
}

/// Makes the frames of calls, one after the other. `take` gets who sends it, the client or the server, and
/// the Ethernet frame.
pub struct Maker<F> {
    take: F,
    identification: u16,
    frame: Vec<u8>,
}

/// A call that was made: the sequence numbers that come next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Next {
    /// Of the client's GRE packets.
    pub client: u32,
    /// Of the server's.
    pub server: u32,
}

/// Writes the records of a pcap file.
struct Writer<W> {
    output: W,
    made: Made,
    at_us: u64,
}

impl<W: Write> Writer<W> {
    fn record(&mut self, frame: &[u8]) -> io::Result<()> {
        self.at_us += 5;
        let (seconds, micros) = ((self.at_us / 1_000_000) as u32, (self.at_us % 1_000_000) as u32);
        let mut header = [0; 16];
        let fields = [seconds, micros, frame.len() as u32, frame.len() as u32];
        for (place, field) in header.chunks_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        self.made.packets += 1;
        self.made.bytes += (header.len() + frame.len()) as u64;
        self.output.write_all(&header)?;
        self.output.write_all(frame)
    }
}

/// The two ends of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Address of the client.
    pub client: Ipv4Addr,
    /// Its port of the control connection.
    pub client_port: u16,
    /// Its address in the tunnel.
    pub tunnel_client: Ipv4Addr,
    /// Address of the server in the tunnel.
    pub tunnel_server: Ipv4Addr,
    client_call_id: u16,
    server_call_id: u16,
}

impl Ends {
    /// Those of call number `index`; of the number 24 bits count.
    pub fn of(index: u32) -> Self {
        let [_, high, middle, low] = index.to_be_bytes();
        Self {
            client: Ipv4Addr::new(10, high, middle, low),
            client_port: 2048 + (index % 60_000) as u16,
            tunnel_client: Ipv4Addr::new(172, 16 | high, middle, low),
            tunnel_server: Ipv4Addr::new(10, 255, 0, 1),
            client_call_id: (index + 1) as u16,
            server_call_id: (index + 7) as u16,
        }
    }
}

/// Writes a pcap file (little-endian, microseconds, Ethernet).
///
/// # Errors
/// Those of `output`.
pub fn pcap(output: impl Write, plan: &Plan) -> io::Result<Made> {
    let mut writer = Writer { output, made: Made::default(), at_us: 1_600_000_000_000_000 };
    let mut header = Vec::new();
    header.extend(0xa1b2_c3d4_u32.to_le_bytes());
    header.extend([2, 0, 4, 0]);
    header.extend([0; 8]);
    header.extend(262_144_u32.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    writer.output.write_all(&header)?;
    writer.made.bytes = header.len() as u64;
    let (down, up) = (data(plan.down), data(plan.up));
    let mut data_of_first = None;
    let mut done = 0;
    let written = std::cell::Cell::new(writer.made.bytes);
    let mut maker = Maker::new(|_, frame: &[u8]| {
        let result = writer.record(frame);
        written.set(writer.made.bytes);
        result
    });
    while done < plan.calls {
        let end = plan.calls.min(done.saturating_add(plan.open.max(1)));
        let mut calls = (done..end).map(|index| maker.set_up(index)).collect::<io::Result<Vec<_>>>()?;
        let wanted = plan.bytes * u64::from(end) / u64::from(plan.calls);
        let mut packets = 0;
        while written.get() < wanted {
            for (index, next) in (done..).zip(&mut calls) {
                maker.carry(index, next, &down, &up)?;
            }
            packets += 1;
        }
        data_of_first.get_or_insert(packets);
        if plan.ends {
            for (index, next) in (done..).zip(&calls) {
                maker.tear_down(index, *next)?;
            }
        }
        done = end;
    }
    writer.output.flush()?;
    Ok(Made { data_of_first: data_of_first.unwrap_or(0), ..writer.made })
}

/// A PPP frame as MPPE makes it: protocol 0x00fd compressed, coherency count, noise.
pub fn data(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    [0xfd, 0x90, 0x01].into_iter().chain(noise).take(length.max(3)).collect()
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = (12 + body.len()) as u16;
    [&length.to_be_bytes(), &[0, 1][..], &MAGIC, &kind.to_be_bytes(), &[0, 0], body].concat()
}

fn control_packet(protocol: u16, code: u8, id: u8, data: &[u8]) -> Vec<u8> {
    let length = (4 + data.len()) as u16;
    [&[0xff, 0x03][..], &protocol.to_be_bytes(), &[code, id], &length.to_be_bytes(), data].concat()
}

impl<F: FnMut(bool, &[u8]) -> io::Result<()>> Maker<F> {
    /// Calls `take` with whether the client sends it, and each frame.
    pub const fn new(take: F) -> Self {
        Self { take, identification: 0, frame: Vec::new() }
    }

    /// Call number `index` from SYN to IPCP.
    ///
    /// # Errors
    /// Those of `take`, here and below.
    pub fn set_up(&mut self, index: u32) -> io::Result<Next> {
        let ends = Ends::of(index);
        self.tcp(index, true, 1000, 0, 0x02, &[])?;
        self.tcp(index, false, 5000, 1001, 0x12, &[])?;
        let mut start = vec![1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0];
        start.resize(144, 0);
        self.tcp(index, true, 1001, 5001, 0x18, &message(1, &start))?;
        start[2] = 1;
        self.tcp(index, false, 5001, 1157, 0x18, &message(2, &start))?;
        let mut request = ends.client_call_id.to_be_bytes().to_vec();
        request.extend([0, 1, 0, 0, 0x09, 0x60, 0, 0x98, 0x96, 0x80, 0, 0, 0, 3, 0, 0, 0, 3, 0, 64]);
        request.resize(156, 0);
        self.tcp(index, true, 1157, 5157, 0x18, &message(7, &request))?;
        let ids = [ends.server_call_id.to_be_bytes(), ends.client_call_id.to_be_bytes()].concat();
        let reply = [&ids[..], &[1, 0, 0, 0, 0, 0x98, 0x96, 0x80, 0, 64, 0, 0, 0, 0, 0, 0]].concat();
        self.tcp(index, false, 5157, 1325, 0x18, &message(8, &reply))?;

        let (client_magic, server_magic) = ([5, 6, 1, 2, 3, 4], [5, 6, 5, 6, 7, 8]);
        let demand = [&[3, 5, 0xc2, 0x23, 0x81][..], &server_magic].concat();
        let mppe = [18, 6, 1, 0, 0, 0x40];
        let [server_address, client_address] =
            [ends.tunnel_server, ends.tunnel_client].map(|address| [&[3, 6], &address.octets()[..]].concat());
        let challenge = [&[16][..], &[7; 16], b"pptpd"].concat();
        let response = [&[49][..], &[7; 49], format!("user{index}").as_bytes()].concat();
        let frames: [(bool, u16, u8, u8, &[u8]); 17] = [
            (true, 0xc021, 1, 0, &client_magic),
            (false, 0xc021, 1, 1, &demand),
            (false, 0xc021, 2, 0, &client_magic),
            (true, 0xc021, 2, 1, &demand),
            (false, 0xc223, 1, 9, &challenge),
            (true, 0xc223, 2, 9, &response),
            (false, 0xc223, 3, 9, b"S=0123456789ABCDEF0123456789ABCDEF01234567 M=Welcome"),
            (false, 0x80fd, 1, 1, &mppe),
            (true, 0x80fd, 1, 2, &mppe),
            (true, 0x80fd, 2, 1, &mppe),
            (false, 0x80fd, 2, 2, &mppe),
            (false, 0x8021, 1, 1, &server_address),
            (true, 0x8021, 2, 1, &server_address),
            (true, 0x8021, 1, 3, &[3, 6, 0, 0, 0, 0]),
            (false, 0x8021, 3, 3, &client_address),
            (true, 0x8021, 1, 4, &client_address),
            (false, 0x8021, 2, 4, &client_address),
        ];
        let (mut client, mut server) = (0, 0);
        for (from_client, protocol, code, id, data) in frames {
            let frame = control_packet(protocol, code, id, data);
            let sequence = if from_client { &mut client } else { &mut server };
            let number = *sequence;
            *sequence += 1;
            self.gre(index, from_client, Some(number), None, &frame)?;
        }
        Ok(Next { client, server })
    }

    /// A data packet of each end; both acknowledge.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn carry(&mut self, index: u32, next: &mut Next, down: &[u8], up: &[u8]) -> io::Result<()> {
        self.gre(index, false, Some(next.server), next.client.checked_sub(1), down)?;
        next.server += 1;
        self.gre(index, true, Some(next.client), next.server.checked_sub(1), up)?;
        next.client += 1;
        Ok(())
    }

    /// The client says goodbye.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn tear_down(&mut self, index: u32, next: Next) -> io::Result<()> {
        let ends = Ends::of(index);
        let goodbye = control_packet(0xc021, 5, 8, b"User request");
        self.gre(index, true, Some(next.client), None, &goodbye)?;
        let clear = [&ends.client_call_id.to_be_bytes()[..], &[0, 0]].concat();
        self.tcp(index, true, 1325, 5189, 0x18, &message(12, &clear))?;
        self.tcp(index, true, 1341, 5189, 0x11, &[])?;
        self.tcp(index, false, 5189, 1342, 0x11, &[])
    }

    fn tcp(
        &mut self,
        index: u32,
        from_client: bool,
        sequence: u32,
        ack: u32,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let port = Ends::of(index).client_port;
        let (source, destination) = if from_client { (port, 1723) } else { (1723, port) };
        let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        segment.extend(sequence.to_be_bytes());
        segment.extend(ack.to_be_bytes());
        segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        segment.extend(payload);
        self.ip(index, from_client, 6, &[&segment])
    }

    fn gre(
        &mut self,
        index: u32,
        from_client: bool,
        sequence: Option<u32>,
        ack: Option<u32>,
        frame: &[u8],
    ) -> io::Result<()> {
        let ends = Ends::of(index);
        let call_id = if from_client { ends.server_call_id } else { ends.client_call_id };
        let flags = 0x20 | if sequence.is_some() { 0x10 } else { 0 };
        let second = 1 | if ack.is_some() { 0x80 } else { 0 };
        let mut header = [0; 16];
        header[..4].copy_from_slice(&[flags, second, 0x88, 0x0b]);
        header[4..6].copy_from_slice(&(frame.len() as u16).to_be_bytes());
        header[6..8].copy_from_slice(&call_id.to_be_bytes());
        let mut end = 8;
        for number in [sequence, ack].into_iter().flatten() {
            header[end..end + 4].copy_from_slice(&number.to_be_bytes());
            end += 4;
        }
        self.ip(index, from_client, 47, &[&header[..end], frame])
    }

    fn ip(&mut self, index: u32, from_client: bool, protocol: u8, payload: &[&[u8]]) -> io::Result<()> {
        let client = Ends::of(index).client.octets();
        let (from, to) = if from_client { (client, SERVER) } else { (SERVER, client) };
        let total = 20 + payload.iter().map(|part| part.len()).sum::<usize>();
        self.identification = self.identification.wrapping_add(1);
        let frame = &mut self.frame;
        frame.clear();
        frame.extend([2, 0, 0, 0, 0, u8::from(from_client), 2, 0, 0, 0, 0, u8::from(!from_client), 8, 0]);
        frame.extend([0x45, 0]);
        frame.extend((total as u16).to_be_bytes());
        frame.extend(self.identification.to_be_bytes());
        frame.extend([0, 0, 64, protocol, 0, 0]);
        frame.extend(from);
        frame.extend(to);
        for part in payload {
            frame.extend_from_slice(part);
        }
        (self.take)(from_client, frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture;
    use crate::truth::{self, Window};

    #[test]
    fn the_second_opinion_reads_what_is_made() {
        let mut file = Vec::new();
        let plan = Plan { calls: 3, open: 3, bytes: 20_000, down: 300, up: 60, ends: true };
        let made = pcap(&mut file, &plan).unwrap();
        assert_eq!(made.bytes, file.len() as u64);
        let truth = truth::from_frames(&capture::read(&file).unwrap(), Window::ALL);
        assert_eq!((truth.calls.len(), truth.frames), (3, made.packets));
        assert_eq!(truth.calls[0].from_server.packets, 9 + made.data_of_first);
        assert_eq!(truth.calls[0].from_client.packets, 8 + made.data_of_first + 1);
        assert_eq!(truth.negotiation_frames, 3 * 18);
    }
}
