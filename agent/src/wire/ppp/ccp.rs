//! Compression Control Protocol (RFC 1962): in PPTP it agrees on encryption by MPPE (RFC 3078).
//!
//! An option in a Configure-Request says what its sender can *receive*. The keys come from MS-CHAP or
//! EAP (RFC 3079), so without these there is no MPPE.

use std::fmt;

use super::{cp, option::Value};
use crate::wire::Hex;

/// A packet of CCP.
pub type Packet = cp::Packet<CcpOption>;

options! {
    /// Options of CCP, one for each algorithm (RFC 1962 §4).
    CcpOption of Ccp {
        /// A vendor's algorithm: three bytes of OUI, a subtype, values.
        Oui {
            /// All of it.
            value: Hex
        } = 0,
        /// Predictor type 1 (RFC 1978).
        Predictor1 = 1,
        /// Predictor type 2 (RFC 1978).
        Predictor2 = 2,
        /// Stac LZS (RFC 1974).
        StacLzs {
            /// History count and check mode.
            value: Hex
        } = 17,
        /// Microsoft's encryption and compression (RFC 3078 §2, RFC 2118 §2).
        Mppe {
            /// What is wanted, or agreed on.
            bits: MppeBits
        } = 18,
        /// BSD compress (RFC 1977).
        BsdCompress {
            /// Version (3 bits) and dictionary size (5 bits).
            parameters: u8
        } = 21,
        /// Deflate, by the number of its draft, as old peers send it.
        DeflateDraft {
            /// Window and method, check.
            parameters: u16
        } = 24,
        /// Deflate (RFC 1979).
        Deflate {
            /// Window and method, check.
            parameters: u16
        } = 26,
    }
}

flags! {
    /// The supported bits of MPPE and MPPC (RFC 3078 §2.1, RFC 2118 §2).
    MppeBits: u32 {
        /// H: stateless, the key changes with every packet.
        STATELESS = 0x0100_0000 "stateless",
        /// M: keys of 56 bits.
        BITS_56 = 0x0000_0080 "56_bit",
        /// S: keys of 128 bits.
        BITS_128 = 0x0000_0040 "128_bit",
        /// L: keys of 40 bits.
        BITS_40 = 0x0000_0020 "40_bit",
        /// D: obsolete.
        OBSOLETE = 0x0000_0010 "obsolete",
        /// C: compression by MPPC.
        MPPC = 0x0000_0001 "mppc",
    }
}

impl MppeBits {
    /// Length of the strongest key that is wanted, bits; None without encryption.
    pub const fn key_bits(self) -> Option<u8> {
        if self.contains(Self::BITS_128) {
            Some(128)
        } else if self.contains(Self::BITS_56) {
            Some(56)
        } else if self.contains(Self::BITS_40) {
            Some(40)
        } else {
            None
        }
    }
}

/// In the letters of RFC 3078, as pppd logs them: `+H -M +S -L -D -C`.
impl fmt::Display for MppeBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (Self::STATELESS, "H"),
            (Self::BITS_56, " M"),
            (Self::BITS_128, " S"),
            (Self::BITS_40, " L"),
            (Self::OBSOLETE, " D"),
            (Self::MPPC, " C"),
        ];
        letters.iter().try_for_each(|(bit, letter)| {
            let sign = if self.contains(*bit) { '+' } else { '-' };
            let (space, letter) = letter.strip_prefix(' ').map_or(("", *letter), |letter| (" ", letter));
            write!(f, "{space}{sign}{letter}")
        })
    }
}

impl Value for MppeBits {
    fn read(value: &[u8]) -> Option<Self> {
        u32::read(value).map(Self)
    }

    fn write(&self) -> Vec<u8> {
        self.0.write()
    }
}
