//! The words of an options file, as pppd reads them (options.c, getword), and the options they make.

use std::path::{Path, PathBuf};

use super::table;

/// An option as it stands in a file, or was given by a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Option {
    /// Name.
    pub name: String,
    /// Its value. Absent for options without one, and for `password`, which is never kept.
    pub value: std::option::Option<String>,
    /// File, as the user knows it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
}

impl Option {
    /// file:line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// A word and the line in which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// It is the first of its line.
    pub(crate) first: bool,
    /// A quote was opened and never closed.
    pub(crate) unclosed: bool,
}

/// Takes a file apart: blanks part words, quotes hold them together, a backslash takes what follows as
/// it is, `#` begins a comment.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut line, mut first) = (1, true);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => (line, first) = (line + 1, true),
            letter if letter.is_whitespace() => {}
            '#' => while letters.next_if(|letter| *letter != '\n').is_some() {},
            '\\' if letters.next_if_eq(&'\n').is_some() => line += 1,
            letter => {
                let mut word = Word { text: String::new(), line, first, unclosed: false };
                let mut quote = None;
                let mut letter = Some(letter);
                while let Some(now) = letter {
                    match (now, quote) {
                        ('\\', _) => match letters.next() {
                            Some('\n') => line += 1,
                            Some(next) => word.text.push(next),
                            None => {}
                        },
                        (now, Some(open)) if now == open => quote = None,
                        ('"' | '\'', None) => quote = Some(now),
                        ('\n', Some(_)) => {
                            line += 1;
                            word.text.push('\n');
                        }
                        _ => word.text.push(now),
                    }
                    let ends = |next: &char| quote.is_none() && (next.is_whitespace() || *next == '#');
                    letter = if letters.peek().is_some_and(ends) { None } else { letters.next() };
                }
                word.unclosed = quote.is_some();
                first = false;
                words.push(word);
            }
        }
    }
    words
}

/// Reads an options file.
pub fn parse(text: &str, file: &Path) -> Vec<Option> {
    let words = words(text);
    let mut options = Vec::new();
    let mut at = words.into_iter().peekable();
    while let Some(word) = at.next() {
        let takes_value = table::find(&word.text)
            .map(|known| known.takes_value)
            .or_else(|| table::plugin_option(&word.text));
        let mut value = None;
        match takes_value {
            Some(true) => value = at.next().map(|word| word.text),
            Some(false) => {}
            // What it takes is not known, but hardly the next line.
            None => while at.next_if(|next| !next.first).is_some() {},
        }
        if matches!(word.text.as_str(), "password" | "+ua") {
            value = None;
        }
        options.push(Option { name: word.text, value, file: file.to_owned(), line: word.line });
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_pppd() {
        let text = "a  \"b c\" 'd # e' # comment\n f\\ g h#i\n\\\nj 'open\n";
        let seen: Vec<_> = words(text).into_iter().map(|word| (word.text, word.line, word.first)).collect();
        let word = |text: &str, line, first| (text.to_owned(), line, first);
        assert_eq!(
            seen,
            [
                word("a", 1, true),
                word("b c", 1, false),
                word("d # e", 1, false),
                word("f g", 2, true),
                word("h", 2, false),
                word("j", 4, true),
                word("open\n", 4, false),
            ]
        );
        assert!(words("'x").pop().unwrap().unclosed);
    }

    #[test]
    fn a_password_is_not_kept() {
        let options = parse("name vpn\npassword hunter2 debug\n", Path::new("/o"));
        let names: Vec<_> =
            options.iter().map(|option| (option.name.as_str(), option.value.as_deref())).collect();
        assert_eq!(names, [("name", Some("vpn")), ("password", None), ("debug", None)]);
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn an_unknown_option_takes_the_rest_of_its_line() {
        let options = parse("mppe required,no40 stateless\ndebug\n", Path::new("/o"));
        assert_eq!(options.len(), 2);
        assert_eq!((options[0].name.as_str(), options[1].place().as_str()), ("mppe", "/o:2"));
    }
}
