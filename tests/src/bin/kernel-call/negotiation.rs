//! The least of RFC 1661 that opens a call: requests, and an acknowledgement of whatever is asked.

use std::net::Ipv4Addr;

/// Protocols (IANA).
const LCP: u16 = 0xc021;
const CCP: u16 = 0x80fd;
const IPCP: u16 = 0x8021;

/// Codes (RFC 1661, section 5).
const CONFIGURE_REQUEST: u8 = 1;
const CONFIGURE_ACK: u8 = 2;
const ECHO_REQUEST: u8 = 9;
const ECHO_REPLY: u8 = 10;

/// Bytes of protocol, code, identifier and length.
const HEADER: usize = 6;

/// What is agreed with the other end so far.
pub(crate) struct Peer {
    mru: u16,
    /// Requests that nobody has acknowledged yet: protocol and identifier.
    open: Vec<(u16, u8)>,
    identifier: u8,
    /// Both directions of CCP: our request was acknowledged, theirs was.
    ccp: (bool, bool),
}

impl Peer {
    pub(crate) const fn new(mru: u16) -> Self {
        Self { mru, open: Vec::new(), identifier: 0, ccp: (false, false) }
    }

    pub(crate) fn lcp_request(&mut self) -> Vec<u8> {
        let mru = self.mru.to_be_bytes();
        // The two ends are two processes: one number for both would be a link that is looped back.
        let magic = std::process::id().to_be_bytes();
        // Maximum-Receive-Unit and Magic-Number.
        self.request(LCP, &[1, 4, mru[0], mru[1], 5, 6, magic[0], magic[1], magic[2], magic[3]])
    }

    /// Asks for MPPE (RFC 3078, section 2).
    pub(crate) fn ccp_request(&mut self, bits: [u8; 4]) -> Vec<u8> {
        self.request(CCP, &[18, 6, bits[0], bits[1], bits[2], bits[3]])
    }

    /// Asks for an address (RFC 1332, section 3.3).
    pub(crate) fn ipcp_request(&mut self, address: Ipv4Addr) -> Vec<u8> {
        let [a, b, c, d] = address.octets();
        self.request(IPCP, &[3, 6, a, b, c, d])
    }

    /// Whether the other end owes an acknowledgement.
    pub(crate) fn waits(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether CCP has just been agreed in both directions.
    pub(crate) fn take_ccp_up(&mut self) -> bool {
        let up = self.ccp == (true, true);
        if up {
            self.ccp = (false, false);
        }
        up
    }

    /// The answer to a frame, if it needs one. Frames begin with the protocol.
    pub(crate) fn reply(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let header: [u8; HEADER] = frame.get(..HEADER)?.try_into().ok()?;
        let (protocol, code, identifier) = (u16::from_be_bytes([header[0], header[1]]), header[2], header[3]);
        let answer = match code {
            CONFIGURE_REQUEST => {
                self.ccp.1 |= protocol == CCP;
                CONFIGURE_ACK
            }
            CONFIGURE_ACK => {
                self.ccp.0 |= protocol == CCP;
                self.open.retain(|request| *request != (protocol, identifier));
                return None;
            }
            ECHO_REQUEST if protocol == LCP => ECHO_REPLY,
            _ => return None,
        };
        let mut reply = frame.to_vec();
        reply[2] = answer;
        Some(reply)
    }

    fn request(&mut self, protocol: u16, options: &[u8]) -> Vec<u8> {
        self.identifier = self.identifier.wrapping_add(1);
        self.open.push((protocol, self.identifier));
        let length = u16::try_from(options.len() + 4).unwrap_or(u16::MAX);
        let mut frame = protocol.to_be_bytes().to_vec();
        frame.extend_from_slice(&[CONFIGURE_REQUEST, self.identifier]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(options);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::Peer;

    #[test]
    fn two_ends_agree() {
        let (mut one, mut other) = (Peer::new(1400), Peer::new(1400));
        let request = one.ccp_request([1, 0, 0, 0x40]);
        assert_eq!(request, [0x80, 0xfd, 1, 1, 0, 10, 18, 6, 1, 0, 0, 0x40]);
        let Some(ack) = other.reply(&request) else { unreachable!("a request is answered") };
        assert!(one.waits());
        assert_eq!(one.reply(&ack), None);
        assert!(!one.waits());
        assert!(!one.take_ccp_up(), "one direction is not both");
        let request = other.ccp_request([1, 0, 0, 0x40]);
        assert!(one.reply(&request).is_some());
        assert!(one.take_ccp_up());
    }

    #[test]
    fn a_short_frame_has_no_answer() {
        assert_eq!(Peer::new(1400).reply(&[0xc0, 0x21, 1]), None);
    }
}
