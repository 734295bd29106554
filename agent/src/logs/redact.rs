//! Secrets that daemons write into their logs, taken out before a text is kept.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memchr3;

use super::catalogue::Program;

/// What stands for a secret.
const MASK: &str = "***";
/// Hexadecimal digits behind `<`, `=` or `0x` from which on they are a challenge, a response or a hash.
const HASH_DIGITS: usize = 16;

/// The text without secrets: challenges, responses, hashes and keys in hexadecimal digits, and passwords.
pub(super) fn redact(program: Option<Program>, text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    if let Some(masked) = without_hashes(text) {
        out = Cow::Owned(masked);
    }
    if let Some(masked) = without_passwords(&out) {
        out = Cow::Owned(masked);
    }
    match program {
        Some(Program::FreeRadius) => {
            if let Some((from, to)) = freeradius_password(&out) {
                out = Cow::Owned(splice(&out, from, to));
            }
        }
        Some(Program::Kernel) | None => {
            if let Some(at) = out.find(MASTER) {
                let to = out.len();
                out = Cow::Owned(splice(&out, at + "keys: ".len(), to));
            }
        }
        _ => {}
    }
    out
}

/// Whether there is nothing in the text, nor in any part of it, that [`redact`] would take out of a value.
pub(super) fn is_harmless(text: &str) -> bool {
    hash(text.as_bytes(), 0).is_none() && !NAMES.as_ref().is_some_and(|names| names.is_match(text))
}

/// Where in `[user/password]` of FreeRADIUS's verdicts the password is.
fn freeradius_password(text: &str) -> Option<(usize, usize)> {
    let from = text.rfind(": [")? + 3;
    let inside = text.get(from..)?;
    let to = inside.rfind("] (from client ").or_else(|| inside.rfind(']')).unwrap_or(inside.len());
    let (user, secret) = inside.get(..to)?.split_once('/')?;
    // `host/name` is a computer; what it authenticated with stands in angle brackets.
    let (start, secret) = match user {
        "host" => {
            let (name, secret) = secret.split_once('/')?;
            (from + user.len() + 1 + name.len() + 1, secret)
        }
        user => (from + user.len() + 1, secret),
    };
    // What it says where there is no password to show.
    let is_word = ["<via ", "<no ", "<CHAP-Password>"].iter().any(|word| secret.starts_with(word));
    (!is_word).then_some((start, from + to))
}

/// The next run of digits that is a hash: from where to where.
fn hash(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    loop {
        let mark = at + memchr3(b'<', b'=', b'x', bytes.get(at..)?)?;
        at = mark + 1;
        let is_x = bytes.get(mark) == Some(&b'x');
        if is_x && (mark == 0 || bytes.get(mark - 1) != Some(&b'0')) {
            continue;
        }
        let run = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if run >= HASH_DIGITS {
            return Some((at, at + run));
        }
    }
}

/// The text with the mask for every hash; None where there is none.
fn without_hashes(text: &str) -> Option<String> {
    let mut found = hash(text.as_bytes(), 0)?;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    loop {
        let (from, to) = found;
        out.push_str(text.get(at..from).unwrap_or_default());
        out.push_str(MASK);
        at = to;
        match hash(text.as_bytes(), at) {
            Some(next) => found = next,
            None => break,
        }
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Some(out)
}

/// What the kernel shows the keys of MPPE behind.
const MASTER: &str = "keys: master: ";

/// `password`, `shared secret` and their like.
static NAMES: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(["assword", "shared secret", "ASSWORD", MASTER]).ok());

/// Where the first value behind one of [`NAMES`] begins, from `from` on.
fn after_password(text: &str, from: usize) -> Option<usize> {
    const BETWEEN: [&str; 6] = [" = ", "=", ": ", " := ", " \"", ":"];
    // A few fixed texts always make an automaton.
    let mut names = NAMES.as_ref()?.find_iter(text.get(from..)?);
    names.find_map(|name| {
        let behind = from + name.end();
        let rest = text.get(behind..)?;
        let between = BETWEEN.iter().find(|between| rest.starts_with(**between))?;
        // A quotation mark belongs to the value.
        Some(behind + between.trim_end_matches('"').len())
    })
}

/// The text with the mask for every value behind one of [`NAMES`]; None where there is none.
fn without_passwords(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    while let Some(at) = after_password(text, copied) {
        let end = end_of_value(text, at);
        out.push_str(text.get(copied..at).unwrap_or_default());
        if end > at {
            out.push_str(MASK);
        }
        copied = end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    (copied > 0).then_some(out)
}

/// Where the value that begins at `at` ends: a quoted text, or all that follows. What a daemon says in place of a
/// password is none.
fn end_of_value(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let Some(inside) = rest.strip_prefix('"') else {
        return if rest.starts_with("<hidden>") { at } else { text.len() };
    };
    let mut escaped = false;
    let close = inside.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    close.map_or(text.len(), |close| at + 1 + close + 1)
}

fn splice(text: &str, from: usize, to: usize) -> String {
    let before = text.get(..from).unwrap_or_default();
    let behind = text.get(to..).unwrap_or_default();
    [before, MASK, behind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_gone_and_the_rest_stays() {
        let pppd = |text| redact(Some(Program::Pppd), text).into_owned();
        assert_eq!(
            pppd("rcvd [CHAP Response id=0x1 <00112233445566778899aabbccddeeff>, name = \"anna\"]"),
            "rcvd [CHAP Response id=0x1 <***>, name = \"anna\"]"
        );
        assert_eq!(
            pppd("rcvd [CHAP Failure id=0x1 \"E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3\"]"),
            "rcvd [CHAP Failure id=0x1 \"E=691 R=1 C=*** V=3\"]"
        );
        assert_eq!(
            pppd("rcvd [PAP AuthReq id=0x1 user=\"anna\" password=\"ge\\\"heim\"]"),
            "rcvd [PAP AuthReq id=0x1 user=\"anna\" password=***]"
        );
        assert_eq!(
            pppd("sent [LCP EchoReq id=0x3 magic=0x12345678]"),
            "sent [LCP EchoReq id=0x3 magic=0x12345678]"
        );
        assert_eq!(
            redact(Some(Program::Kernel), "mppe_decompress[0]: keys: master: 00112233 initial session: 44"),
            "mppe_decompress[0]: keys: ***"
        );
    }

    #[test]
    fn every_value_that_may_hold_a_secret_is_looked_at() {
        for (text, secret) in [
            ("<00112233445566778899aabbccddeeff>", "00112233445566778899aabbccddeeff"),
            ("a password was given; password = geheim", "geheim"),
            ("password=\"one\", old password=\"two\"", "two"),
            ("shared secret: s3cret", "s3cret"),
            ("password = <geheim", "geheim"),
            ("password=<hidden> old password=geheim", "geheim"),
            ("keys: master: 001122", "001122"),
        ] {
            assert!(!is_harmless(text) && !redact(None, text).contains(secret), "{text}");
        }
        for text in ["Connect: ppp0 <--> /dev/pts/1", "sent [LCP EchoReq id=0x3 magic=0x12345678]"] {
            assert!(is_harmless(text) && redact(None, text) == text, "{text}");
        }
    }

    #[test]
    fn freeradius_shows_passwords() {
        let radius = |text| redact(Some(Program::FreeRadius), text).into_owned();
        assert_eq!(
            radius("(1) Login incorrect: [anna/geheim] (from client vpn port 0 cli 192.0.2.1)"),
            "(1) Login incorrect: [anna/***] (from client vpn port 0 cli 192.0.2.1)"
        );
        for kept in [
            "Login incorrect (mschap: x): [host/pc.example/<via Auth-Type = eap>]",
            "Login OK: [anna] (from client vpn port 0)",
            "Login OK: [anna/<via Auth-Type = mschap>] (from client vpn port 0)",
        ] {
            assert_eq!(radius(kept), kept);
        }
        assert_eq!(radius("User-Password = \"geheim\""), "User-Password = ***");
        assert_eq!(
            radius("Adding client 192.0.2.1/32 with shared secret \"testing123\""),
            "Adding client 192.0.2.1/32 with shared secret ***"
        );
    }
}
