//! The authenticator of a packet: proof that its sender knows the shared secret.
//!
//! A request for access has a random one, every other packet an MD5 over the packet and the secret
//! (RFC 2865 §3, RFC 2866 §3). A server that has another secret than its client answers with a wrong
//! one, and the client ignores the answer as if it had never come: seen from outside, a timeout.
//! Message-Authenticator is the stronger proof that newer servers demand (RFC 3579 §3.2).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::{Code, Error, HEADER_BYTES, attributes, split};

/// Type of Message-Authenticator (RFC 3579 §3.2).
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// The authenticator of a packet. It helps who guesses the secret, so that it has no serialised form and
/// `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authenticator([u8; 16]);

impl Authenticator {
    /// That of a packet; None when it is cut. Requests with the same identifier and the same authenticator
    /// are one request, sent again.
    pub fn of(packet: &[u8]) -> Option<Self> {
        packet.get(4..HEADER_BYTES)?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

/// What a check of a packet found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its sender has the secret.
    Genuine,
    /// Its sender has another secret, or it was changed on its way.
    Forged,
    /// The packet proves nothing: a request for access without Message-Authenticator.
    NoProof,
}

/// Checks an answer against its request.
///
/// # Errors
///
/// When `answer` is no packet.
pub fn check_answer(answer: &[u8], request: Authenticator, secret: &[u8]) -> Result<Verdict, Error> {
    let packet = whole(answer)?;
    if !is_hash(packet, &request.0, secret) {
        return Ok(Verdict::Forged);
    }
    Ok(match message_authenticator(packet, &request.0, secret)? {
        Some(false) => Verdict::Forged,
        Some(true) | None => Verdict::Genuine,
    })
}

/// Checks a request.
///
/// # Errors
///
/// When `request` is no packet.
pub fn check_request(request: &[u8], secret: &[u8]) -> Result<Verdict, Error> {
    let packet = whole(request)?;
    let (code, ..) = split(packet)?;
    let own = Authenticator::of(packet).map_or([0; 16], |own| own.0);
    let random = matches!(code, Code::AccessRequest | Code::StatusServer | Code::StatusClient);
    if !random && !is_hash(packet, &[0; 16], secret) {
        return Ok(Verdict::Forged);
    }
    // The keyed hash is taken with zeros where an authenticator follows that is a hash itself
    // (RFC 5176 §3.4).
    let base = if random { own } else { [0; 16] };
    Ok(match message_authenticator(packet, &base, secret)? {
        Some(true) => Verdict::Genuine,
        Some(false) => Verdict::Forged,
        None if random => Verdict::NoProof,
        None => Verdict::Genuine,
    })
}

/// The packet without padding.
fn whole(bytes: &[u8]) -> Result<&[u8], Error> {
    let (_, _, attributes) = split(bytes)?;
    Ok(bytes.get(..HEADER_BYTES + attributes.len()).unwrap_or(bytes))
}

/// Whether the authenticator is the MD5 over the packet, with `base` in its place, and the secret.
fn is_hash(packet: &[u8], base: &[u8; 16], secret: &[u8]) -> bool {
    let (Some(head), Some(rest)) = (packet.get(..4), packet.get(HEADER_BYTES..)) else { return false };
    let hash = Md5::new().chain_update(head).chain_update(base).chain_update(rest).chain_update(secret);
    packet.get(4..HEADER_BYTES) == Some(hash.finalize().as_slice())
}

/// Whether Message-Authenticator is the HMAC-MD5 over the packet, with `base` as authenticator and zeros
/// in its own place; None when there is none.
fn message_authenticator(packet: &[u8], base: &[u8; 16], secret: &[u8]) -> Result<Option<bool>, Error> {
    let (_, _, rest) = split(packet)?;
    let mut before = HEADER_BYTES;
    for attribute in attributes(rest) {
        let (kind, value) = attribute?;
        if kind != MESSAGE_AUTHENTICATOR {
            before += 2 + value.len();
            continue;
        }
        let start = before + 2;
        let (Some(head), Some(middle), Some(tail)) =
            (packet.get(..4), packet.get(HEADER_BYTES..start), packet.get(start + value.len()..))
        else {
            return Ok(Some(false));
        };
        let Ok(mac) = Hmac::<Md5>::new_from_slice(secret) else { return Ok(Some(false)) };
        let mac = mac.chain_update(head).chain_update(base).chain_update(middle);
        let mac = mac.chain_update([0; 16]).chain_update(tail);
        return Ok(Some(mac.verify_slice(value).is_ok()));
    }
    Ok(None)
}
