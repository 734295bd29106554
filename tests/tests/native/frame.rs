//! Frames, byte by byte. What the tests send; nothing here is shared with the agent.

/// Addresses of the client and the server.
pub(crate) const CLIENT: [u8; 4] = [192, 0, 2, 10];
pub(crate) const SERVER: [u8; 4] = [198, 51, 100, 1];

/// A frame between two made-up stations.
pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    tagged(&[], kind, payload)
}

/// A frame with VLAN tags, outermost first: the tag's ethertype and the VLAN id.
pub(crate) fn tagged(tags: &[(u16, u16)], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    for (tag, id) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv4 datagram to be.
#[derive(Clone)]
pub(crate) struct Ip {
    pub(crate) source: [u8; 4],
    pub(crate) destination: [u8; 4],
    pub(crate) protocol: u8,
    pub(crate) identification: u16,
    pub(crate) more_fragments: bool,
    /// Bytes; a multiple of 8.
    pub(crate) fragment_offset: u16,
    /// A multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    /// Written instead of the right length.
    pub(crate) total: Option<u16>,
}

impl Ip {
    /// From the client to the server.
    pub(crate) fn new(protocol: u8) -> Self {
        Self {
            source: CLIENT,
            destination: SERVER,
            protocol,
            identification: 0x1234,
            more_fragments: false,
            fragment_offset: 0,
            options: Vec::new(),
            total: None,
        }
    }

    pub(crate) fn build(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let total = self.total.unwrap_or((header + payload.len()) as u16);
        let mut packet = vec![0x40 | (header / 4) as u8, 0];
        packet.extend(total.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(((u16::from(self.more_fragments) << 13) | (self.fragment_offset / 8)).to_be_bytes());
        packet.extend([64, self.protocol, 0, 0]);
        packet.extend(self.source);
        packet.extend(self.destination);
        packet.extend(&self.options);
        let sum: u32 = packet.chunks(2).map(|word| (u32::from(word[0]) << 8) | u32::from(word[1])).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An enhanced GRE packet to be (RFC 2637, section 4.1).
#[derive(Clone, Default)]
pub(crate) struct Gre {
    pub(crate) call_id: u16,
    pub(crate) sequence: Option<u32>,
    pub(crate) ack: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

impl Gre {
    pub(crate) fn build(&self) -> Vec<u8> {
        let first = 0x20 | u8::from(self.sequence.is_some()) << 4;
        let second = 0x01 | u8::from(self.ack.is_some()) << 7;
        self.build_with(first, second, 0x880b)
    }

    /// With other bits and another protocol type than it should have. The optional fields are those
    /// that are set, whatever the bits say.
    pub(crate) fn build_with(&self, first: u8, second: u8, protocol: u16) -> Vec<u8> {
        let mut packet = vec![first, second];
        packet.extend(protocol.to_be_bytes());
        packet.extend((self.payload.len() as u16).to_be_bytes());
        packet.extend(self.call_id.to_be_bytes());
        for field in [self.sequence, self.ack].into_iter().flatten() {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(&self.payload);
        packet
    }

    /// In IPv4, from the client to the server.
    pub(crate) fn datagram(&self) -> Vec<u8> {
        Ip::new(47).build(&self.build())
    }

    /// In IPv4 and Ethernet, from the client to the server.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(0x0800, &self.datagram())
    }
}

/// A TCP segment to be (RFC 9293).
#[derive(Clone)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) flags: u8,
    /// A multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Tcp {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;

    /// To the server's control port.
    pub(crate) fn control(flags: u8, payload: &[u8]) -> Self {
        Self { source: 50_000, destination: 1723, flags, options: Vec::new(), payload: payload.to_vec() }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.source.to_be_bytes());
        segment.extend(self.destination.to_be_bytes());
        segment.extend([0, 0, 0, 1, 0, 0, 0, 2]);
        segment.extend([(((20 + self.options.len()) / 4) << 4) as u8, self.flags, 0x20, 0, 0, 0, 0, 0]);
        segment.extend(&self.options);
        segment.extend(&self.payload);
        segment
    }

    /// In IPv4, from the client to the server.
    pub(crate) fn datagram(&self) -> Vec<u8> {
        Ip::new(6).build(&self.build())
    }
}
