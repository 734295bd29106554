//! The tokens behind `id=0x1` in a line of the debug dump: `<options>`, words, numbers, quoted text,
//! bytes in hexadecimal digits.

/// What stands behind the identifier.
#[derive(Clone, Debug, Default)]
pub(super) struct Dumped {
    /// What stands in angle brackets, but for challenges and responses.
    pub(super) options: Vec<Argument>,
    /// Words outside of brackets.
    pub(super) words: Vec<String>,
    /// `magic=0x...`
    pub(super) magic: u32,
    /// The first number behind it: the seconds of a Time-Remaining.
    pub(super) number: u32,
    /// How long the challenge or response in brackets was, bytes.
    pub(super) secret_bytes: usize,
    /// The text ended in the middle.
    pub(super) cut: bool,
    named: Vec<(String, Vec<u8>)>,
    quoted: Option<Vec<u8>>,
    hex: Vec<u8>,
}

/// An option: its words.
#[derive(Clone, Debug, Default)]
pub(super) struct Argument {
    pub(super) words: Vec<String>,
}

impl Argument {
    /// The bytes, when the option is nothing but pairs of hexadecimal digits: type, length and value.
    pub(super) fn hex_bytes(&self) -> Option<Vec<u8>> {
        let is_pair = |word: &String| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if self.words.len() < 2 || !self.words.iter().all(is_pair) {
            return None;
        }
        let bytes: Vec<u8> =
            self.words.iter().map(|word| u8::from_str_radix(word, 16).ok()).collect::<Option<_>>()?;
        (usize::from(*bytes.get(1)?) == bytes.len()).then_some(bytes)
    }

    /// `(01 00 00 40)` at the end.
    pub(super) fn bracketed_number(&self) -> Option<u32> {
        let from = self.words.iter().position(|word| word.starts_with('('))?;
        let digits: String = self
            .words
            .get(from..)?
            .iter()
            .flat_map(|word| word.chars())
            .filter(char::is_ascii_hexdigit)
            .collect();
        (digits.len() == 8).then(|| u32::from_str_radix(&digits, 16).ok()).flatten()
    }
}

impl Dumped {
    /// Reads the tokens.
    pub(super) fn read(text: &str) -> Self {
        let mut dumped = Self::default();
        let mut rest = text.trim_start_matches([' ', ',']);
        while !rest.is_empty() {
            rest = dumped.token(rest).trim_start_matches([' ', ',']);
        }
        dumped
    }

    /// Reads one token; returns what is behind it.
    fn token<'a>(&mut self, rest: &'a str) -> &'a str {
        if let Some(inside) = rest.strip_prefix('<') {
            let Some((option, behind)) = close(inside) else {
                self.cut = true;
                return "";
            };
            self.bracket(option);
            return behind;
        }
        if rest.starts_with('"') {
            let (text, behind) = self.quoted(rest);
            if self.words.last().is_some_and(|word| word == "=") {
                // `name = "anna"`
                self.words.pop();
                let name = self.words.pop().unwrap_or_default();
                self.named.push((name, text));
            } else {
                self.quoted.get_or_insert(text);
            }
            return behind;
        }
        let end = rest.find([' ', ',', '"', '<']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if let Some(name) = word.strip_suffix('=')
            && behind.starts_with('"')
        {
            let (text, behind) = self.quoted(behind);
            // What a password is, nobody needs to know.
            if name != "password" {
                self.named.push((name.to_owned(), text));
            }
            return behind;
        }
        self.word(word);
        behind
    }

    fn word(&mut self, word: &str) {
        if let Some(magic) = word.strip_prefix("magic=0x") {
            self.magic = u32::from_str_radix(magic, 16).unwrap_or(0);
        } else if word == "..." {
            self.cut = true;
        } else if word.len() == 2
            && word.bytes().all(|byte| byte.is_ascii_hexdigit())
            && let Ok(byte) = u8::from_str_radix(word, 16)
        {
            self.hex.push(byte);
        } else if let Ok(number) = word.parse() {
            self.number = number;
        } else if !word.is_empty() {
            self.words.push(word.to_owned());
        }
    }

    fn bracket(&mut self, inside: &str) {
        let is_hex = inside.len() >= 16 && inside.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex {
            self.secret_bytes = inside.len() / 2;
            return;
        }
        let words = inside.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        self.options.push(Argument { words });
    }

    /// Text in quotation marks, without its escapes.
    fn quoted<'a>(&mut self, rest: &'a str) -> (Vec<u8>, &'a str) {
        let bytes = rest.as_bytes();
        let mut text = Vec::new();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                None => {
                    self.cut = true;
                    return (text, "");
                }
                Some(b'"') => return (text, rest.get(at + 1..).unwrap_or_default()),
                Some(b'\\') => {
                    let (byte, length) = escape(bytes.get(at + 1..).unwrap_or_default());
                    text.extend(byte);
                    at += 1 + length;
                }
                Some(byte) => {
                    text.push(*byte);
                    at += 1;
                }
            }
        }
    }

    /// A text with a name in front: `user="anna"`.
    pub(super) fn named(&self, name: &str) -> Option<&[u8]> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_slice())
    }

    /// The quoted text, or the bytes.
    pub(super) fn text_bytes(&self) -> Vec<u8> {
        self.quoted.clone().unwrap_or_else(|| self.hex.clone())
    }

    /// The quoted text inside the first option: `<Name "anna">`.
    pub(super) fn inner_text(&self) -> Option<Vec<u8>> {
        let words = self.options.first()?.words.get(1..)?.join(" ");
        Some(words.trim_matches('"').as_bytes().to_vec())
    }
}

/// What stands before the closing bracket, and what behind it. Quoted text may hold one.
fn close(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// What stands behind a backslash: the byte, and how long the escape is.
fn escape(bytes: &[u8]) -> (Option<u8>, usize) {
    match bytes.first() {
        None => (None, 0),
        Some(b'n') => (Some(b'\n'), 1),
        Some(b'r') => (Some(b'\r'), 1),
        Some(b't') => (Some(b'\t'), 1),
        Some(b'0'..=b'7') => {
            let digits = bytes.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte));
            let (value, length) = digits
                .fold((0u32, 0), |(value, length), byte| (value * 8 + u32::from(byte - b'0'), length + 1));
            (u8::try_from(value).ok(), length)
        }
        Some(other) => (Some(*other), 1),
    }
}
