//! Pure decoders of what is on the wire, from the IPv4 header of the tunnel to the options of PPP.
//!
//! A PPTP call is two conversations (RFC 2637). The *control connection* is TCP to port 1723:
//! [`ip`], [`tcp`], put in order by [`stream`], read by [`pptp`]. The *tunnel* is GRE with a key:
//! [`ip`], [`gre`], and inside it [`ppp`], which negotiates the link (LCP), authenticates (PAP,
//! CHAP, EAP), agrees on encryption (CCP) and addresses (IPCP, IPV6CP). [`icmp`] reads the errors
//! that routers send back about either, [`radius`] what the server asks about its users.
//!
//! Every decoder is total: any bytes give a value or an error, never a panic, and nothing reads
//! past the end. Nothing here does I/O, knows the time or keeps a secret: passwords, challenges,
//! responses and hashes are dropped while decoding and no type can hold them. All multi-byte
//! fields are big-endian on the wire and host integers here.

#[macro_use]
mod code;
pub mod gre;
pub mod icmp;
pub mod ip;
mod payload;
pub mod ppp;
pub mod pptp;
pub mod radius;
mod read;
pub mod stream;
pub mod tcp;
pub(crate) mod text;
pub mod udp;

pub use payload::Payload;
pub use text::Hex;

#[cfg(test)]
mod capture_tests;
#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod secrets_tests;
