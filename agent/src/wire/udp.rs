//! UDP headers (RFC 768).

use super::read::Reader;

/// Length of a header, bytes.
const HEADER_BYTES: usize = 8;

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// What was captured of the payload.
    pub payload: &'a [u8],
}

/// Why bytes are not a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short for the header.
    #[error("UDP header cut: {0} bytes")]
    Short(usize),
    /// The length is shorter than the header.
    #[error("UDP length {0}")]
    Length(u16),
}

impl<'a> Datagram<'a> {
    /// Decodes the payload of an IPv4 packet. What lies behind the length is padding.
    ///
    /// # Errors
    ///
    /// When the header is cut or contradicts itself.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let short = Error::Short(bytes.len());
        let mut reader = Reader::new(bytes);
        let source_port = reader.u16().ok_or(short)?;
        let destination_port = reader.u16().ok_or(short)?;
        let length = reader.u16().ok_or(short)?;
        reader.u16().ok_or(short)?;
        let payload = usize::from(length).checked_sub(HEADER_BYTES).ok_or(Error::Length(length))?;
        let rest = reader.rest();
        Ok(Self { source_port, destination_port, payload: rest.get(..payload).unwrap_or(rest) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Datagram, Error};

    #[test]
    fn padding_is_no_payload() {
        let bytes = [0x07, 0x14, 0x10, 0x00, 0, 10, 0, 0, 1, 2, 3, 4];
        let datagram = Datagram::decode(&bytes).unwrap();
        assert_eq!((datagram.source_port, datagram.destination_port), (1812, 4096));
        assert_eq!(datagram.payload, [1, 2]);
        assert_eq!(Datagram::decode(&bytes[..9]).unwrap().payload, [1]);
        assert_eq!(Datagram::decode(&bytes[..7]), Err(Error::Short(7)));
        assert_eq!(Datagram::decode(&[0, 1, 0, 2, 0, 7, 0, 0]), Err(Error::Length(7)));
    }
}
