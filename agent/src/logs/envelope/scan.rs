//! Moves over a line from left to right.

/// The rest of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(super) const fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// Leaves `bytes` behind, which must be on a character boundary.
    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    /// Takes `text`, if it is next.
    pub(super) fn literal(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes one blank.
    pub(super) fn blank(&mut self) -> Option<()> {
        self.literal(" ").then_some(())
    }

    /// Takes blanks, at least one.
    pub(super) fn blanks(&mut self) -> Option<()> {
        self.blank()?;
        self.rest = self.rest.trim_start_matches(' ');
        Some(())
    }

    /// Takes a word and the blank behind it.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.rest.split_once(' ')?;
        if word.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(word)
    }

    /// Takes a number of 1 to `most` digits.
    pub(super) fn number(&mut self, most: usize) -> Option<u32> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = self.rest.get(..digits)?.parse().ok()?;
        self.skip(digits)?;
        Some(number)
    }

    /// Takes a number of exactly `digits` digits that fits a byte.
    pub(super) fn small(&mut self, digits: usize) -> Option<u8> {
        let before = self.rest.len();
        let number = self.number(digits)?;
        (before - self.rest.len() == digits).then_some(())?;
        u8::try_from(number).ok()
    }

    /// Takes `<PRI>`, and the version of RFC 5424 behind it: Some(true) with both.
    pub(super) fn priority(&mut self) -> Option<bool> {
        let mut scan = *self;
        if !scan.literal("<") {
            return None;
        }
        let priority = scan.number(3)?;
        if priority > 191 || !scan.literal(">") {
            return None;
        }
        let version = scan.literal("1 ");
        *self = scan;
        Some(version)
    }

    /// Takes `program[pid]: ` or `program: `.
    pub(super) fn tag(&mut self) -> Option<(&'a str, Option<u32>)> {
        const LONGEST: usize = 64;
        let end = self
            .rest
            .bytes()
            .take(LONGEST)
            .position(|byte| matches!(byte, b'[' | b':' | b' ') || byte.is_ascii_control())?;
        let (ident, rest) = self.rest.split_at_checked(end)?;
        if ident.is_empty() {
            return None;
        }
        let mut scan = Self::new(rest);
        let mut pid = None;
        if scan.literal("[") {
            pid = Some(scan.number(10)?);
            if !scan.literal("]") {
                return None;
            }
        }
        if !scan.literal(":") {
            return None;
        }
        // An empty message has no blank behind the colon.
        if !scan.literal(" ") && !scan.rest.is_empty() {
            return None;
        }
        // Paths of programs: what counts is the name.
        let ident = ident.rsplit_once('/').map_or(ident, |(_, name)| name);
        *self = scan;
        Some((ident, pid))
    }

    /// Takes the structured data of RFC 5424 and the blank behind it.
    pub(super) fn structured_data(&mut self) -> Option<()> {
        if self.literal("- ") || self.rest == "-" {
            return Some(());
        }
        if !self.rest.starts_with('[') {
            return None;
        }
        let mut quoted = false;
        let mut escaped = false;
        let bytes = self.rest.as_bytes();
        for (index, byte) in bytes.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b']' if !quoted && bytes.get(index + 1) != Some(&b'[') => {
                    self.skip(index + 1)?;
                    self.literal(" ");
                    return Some(());
                }
                _ => {}
            }
        }
        None
    }
}
