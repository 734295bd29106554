//! The patterns of the catalogue: printf-like, compiled once, applied in one pass.
//!
//! | conversion | takes |
//! |---|---|
//! | `%d` | a number, perhaps negative |
//! | `%u` | a number |
//! | `%x` | hexadecimal digits of either case |
//! | `%f` | digits, perhaps with a point |
//! | `%I` | an IPv4 address |
//! | `%c` | one character |
//! | `%s` `%v` `%q` `%P` `%m` | any text, up to the first place where what follows in the pattern fits |
//! | `%S` | as `%s`, up to the last such place |
//! | `%%` | a percent sign |
//!
//! The text at the end of a pattern must stand at the end of the line, so a name that imitates the
//! text around it cannot end its own field early.

use std::net::Ipv4Addr;
use std::str;

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands there as it is.
    Literal(Box<str>),
    /// A value.
    Value(Conversion),
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// `%d`
    Signed,
    /// `%u`
    Unsigned,
    /// `%x`
    Hex,
    /// `%f`
    Fraction,
    /// `%I`
    Address,
    /// `%c`
    Character,
    /// `%s` and its kin.
    Text,
    /// `%S`
    GreedyText,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Box<[Piece]>,
    values: usize,
}

/// Most values that a pattern may have.
pub const MAX_VALUES: usize = 16;

/// Where in the line the values of a pattern are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    texts: [&'a str; MAX_VALUES],
    count: usize,
}

impl<'a> Values<'a> {
    /// The values in the order of the pattern.
    pub fn as_slice(&self) -> &[&'a str] {
        self.texts.get(..self.count).unwrap_or_default()
    }

    fn push(&mut self, text: &'a str) {
        if let Some(slot) = self.texts.get_mut(self.count) {
            *slot = text;
            self.count += 1;
        }
    }
}

/// Why a pattern cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An unknown conversion.
    #[error("unknown conversion %{0}")]
    Conversion(char),
    /// Nothing is left of the pattern but values.
    #[error("no text to know the pattern by")]
    NoLiteral,
    /// Two values without text between them.
    #[error("two values without text between them")]
    Adjacent,
    /// More than [`MAX_VALUES`].
    #[error("more than {MAX_VALUES} values")]
    TooMany,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// When it is none, or would match anything.
    pub fn new(text: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            let conversion = match chars.next() {
                Some('%') => {
                    literal.push('%');
                    continue;
                }
                Some('d') => Conversion::Signed,
                Some('u') => Conversion::Unsigned,
                Some('x') => Conversion::Hex,
                Some('f') => Conversion::Fraction,
                Some('I') => Conversion::Address,
                Some('c') => Conversion::Character,
                Some('s' | 'v' | 'q' | 'P' | 'm') => Conversion::Text,
                Some('S') => Conversion::GreedyText,
                other => return Err(Error::Conversion(other.unwrap_or(' '))),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            } else if matches!(pieces.last(), Some(Piece::Value(_))) {
                return Err(Error::Adjacent);
            }
            pieces.push(Piece::Value(conversion));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        let values = pieces.iter().filter(|piece| matches!(piece, Piece::Value(_))).count();
        if values == pieces.len() {
            return Err(Error::NoLiteral);
        }
        if values > MAX_VALUES {
            return Err(Error::TooMany);
        }
        Ok(Self { pieces: pieces.into(), values })
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many values it has.
    pub const fn values(&self) -> usize {
        self.values
    }

    /// The text that a line must begin with.
    pub fn prefix(&self) -> Option<&str> {
        match self.pieces.first() {
            Some(Piece::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// The longest text of the pattern.
    pub fn longest(&self) -> &str {
        let texts = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_ref()),
            Piece::Value(_) => None,
        });
        texts.max_by_key(|text: &&str| text.len()).unwrap_or_default()
    }

    /// Bytes of text in the pattern: how much a match says.
    pub fn weight(&self) -> usize {
        let texts = self.pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len() * 2,
            // A strict value says more than any text.
            Piece::Value(Conversion::Text | Conversion::GreedyText) => 0,
            Piece::Value(_) => 1,
        });
        texts.sum()
    }

    /// Whether `line` is an instance of the pattern, and its values.
    pub fn extract<'a>(&self, line: &'a str) -> Option<Values<'a>> {
        let mut values = Values::default();
        let mut rest = line;
        let mut pieces = self.pieces.as_ref();
        while let Some((piece, after)) = pieces.split_first() {
            pieces = after;
            match piece {
                Piece::Literal(text) => rest = rest.strip_prefix(text.as_ref())?,
                Piece::Value(conversion @ (Conversion::Text | Conversion::GreedyText)) => {
                    let end = match pieces {
                        [] => rest.len(),
                        [Piece::Literal(last)] => rest.strip_suffix(last.as_ref())?.len(),
                        [Piece::Literal(next), ..] if *conversion == Conversion::GreedyText => {
                            rest.rfind(next.as_ref())?
                        }
                        [Piece::Literal(next), Piece::Value(strict), ..] => end_of_text(rest, next, *strict)?,
                        _ => return None,
                    };
                    let (value, beyond) = rest.split_at_checked(end)?;
                    values.push(value);
                    rest = beyond;
                }
                Piece::Value(conversion) => {
                    let (value, beyond) = rest.split_at_checked(conversion.length(rest)?)?;
                    values.push(value);
                    rest = beyond;
                }
            }
        }
        rest.is_empty().then_some(values)
    }

    /// Writes an instance with these values; the inverse of [`Self::extract`].
    pub fn render(&self, values: &[&str]) -> String {
        let mut values = values.iter();
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Value(_) => out.push_str(values.next().copied().unwrap_or_default()),
            }
        }
        out
    }
}

/// Where a text ends that is followed by `next` and then by a value: at the first `next` that such a
/// value can stand behind.
fn end_of_text(rest: &str, next: &str, value: Conversion) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + rest.get(from..)?.find(next)?;
        let behind = rest.get(at + next.len()..)?;
        if matches!(value, Conversion::Text | Conversion::GreedyText) || value.length(behind).is_some() {
            return Some(at);
        }
        from = at + rest.get(at..)?.chars().next()?.len_utf8();
    }
}

impl Conversion {
    /// Length of such a value at the beginning of `text`, bytes; texts have none of their own.
    fn length(self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let count = |is: fn(&u8) -> bool| bytes.iter().take_while(|byte| is(byte)).count();
        let length = match self {
            Self::Unsigned => count(u8::is_ascii_digit),
            Self::Signed => {
                let sign = usize::from(bytes.first() == Some(&b'-'));
                let digits = bytes.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 0 { 0 } else { sign + digits }
            }
            Self::Hex => count(u8::is_ascii_hexdigit),
            Self::Fraction => {
                let length = count(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
                if text.get(..length)?.parse::<f64>().is_ok() { length } else { 0 }
            }
            Self::Address => {
                let length = count(|byte| byte.is_ascii_digit() || *byte == b'.');
                if text.get(..length)?.parse::<Ipv4Addr>().is_ok() { length } else { 0 }
            }
            Self::Character => text.chars().next()?.len_utf8(),
            Self::Text | Self::GreedyText => 0,
        };
        (length > 0).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(pattern: &str, line: &'a str) -> Option<Vec<&'a str>> {
        Some(Pattern::new(pattern).unwrap().extract(line)?.as_slice().to_vec())
    }

    #[test]
    fn takes_typed_values() {
        assert_eq!(
            values("Connect: %s <--> %s", "Connect: ppp0 <--> /dev/pts/1"),
            Some(vec!["ppp0", "/dev/pts/1"])
        );
        assert_eq!(values("local  IP address %I", "local  IP address 10.0.0.1"), Some(vec!["10.0.0.1"]));
        assert_eq!(values("local  IP address %I", "local  IP address 10.0.0"), None);
        assert_eq!(values("status = %d (0x%x)", "status = -1 (0xFf)"), Some(vec!["-1", "Ff"]));
        assert_eq!(values("100%% of %u", "100% of 7"), Some(vec!["7"]));
        assert_eq!(values("Exit.", "Exit. "), None);
        assert_eq!(values("%s: timeout", "LCP: timeout"), Some(vec!["LCP"]));
    }

    #[test]
    fn a_name_cannot_end_its_field_early() {
        let pattern = "Peer %q failed CHAP authentication";
        assert_eq!(
            values(pattern, "Peer x failed CHAP authentication failed CHAP authentication"),
            Some(vec!["x failed CHAP authentication"])
        );
        assert_eq!(
            values("Login (%S): [%s] (from %s)", "Login (a): [b): [c] (from d)"),
            Some(vec!["a): [b", "c", "d"])
        );
    }

    #[test]
    fn refuses_what_would_match_anything() {
        assert_eq!(Pattern::new("%s"), Err(Error::NoLiteral));
        assert_eq!(Pattern::new("a %s%d"), Err(Error::Adjacent));
        assert_eq!(Pattern::new("a %k"), Err(Error::Conversion('k')));
    }
}
