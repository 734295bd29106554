//! Names and addresses inside of text.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::event::finding::QUOTES;

/// Names that are remembered.
const REMEMBERED: usize = 1024;
/// A single letter is no name: taking it out of all text would take the text.
const SHORTEST: usize = 2;

/// Names of users that were seen lately.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Names {
    /// Remembers one; the oldest goes.
    pub(super) fn note(&mut self, name: &str) {
        if name.chars().count() < SHORTEST || self.known.contains(name) {
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(name.to_owned());
        self.order.push_back(name.to_owned());
    }
}

/// Whether it is an address, with or without a port.
pub(super) fn is_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<SocketAddrV4>().is_ok()
}

/// The address, and the port with its colon.
pub(super) fn split_port(text: &str) -> (&str, &str) {
    match text.rfind(':') {
        Some(colon) if text.parse::<SocketAddrV4>().is_ok() => text.split_at(colon),
        _ => (text, ""),
    }
}

/// A way to say a value.
type Say<'say> = &'say dyn Fn(&str) -> Option<String>;

/// The text with everything in it said in another way, and without the words of others.
pub(super) fn scrub(text: &str, names: &Names, user: Say<'_>, address: Say<'_>) -> String {
    let text = &*without_quotations(text);
    // The longest first: `alice.smith` before `alice`.
    let mut inside: Vec<&String> = names.known.iter().filter(|name| text.contains(name.as_str())).collect();
    inside.sort_by_key(|name| (std::cmp::Reverse(name.len()), *name));
    let mut parts = vec![(text.to_owned(), false)];
    for name in inside {
        let said = user(name).unwrap_or_else(|| "[user]".into());
        let replace = |(part, is_done): (String, bool)| {
            if is_done { vec![(part, true)] } else { replace_word(&part, name, &said) }
        };
        parts = parts.into_iter().flat_map(replace).collect();
    }
    let finish =
        |(part, is_done): (String, bool)| if is_done { part } else { scrub_addresses(&part, address) };
    parts.into_iter().map(finish).collect()
}

/// Words of others may name anybody. A quotation without its end, in a text that was cut, goes to the end.
fn without_quotations(text: &str) -> Cow<'_, str> {
    let [open, close] = QUOTES;
    if !text.contains(QUOTES) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, quotation)) = rest.split_once(open) {
        out.push_str(before);
        out.push_str("[words]");
        rest = quotation.split_once(close).map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Pieces of a text, and whether each is a replacement.
fn replace_word(text: &str, word: &str, said: &str) -> Vec<(String, bool)> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(end..).and_then(|text| text.chars().next());
        if [before, after].iter().flatten().any(|letter| letter.is_alphanumeric()) {
            continue;
        }
        pieces.push((text.get(begin..at).unwrap_or_default().to_owned(), false));
        pieces.push((said.to_owned(), true));
        begin = end;
    }
    pieces.push((text.get(begin..).unwrap_or_default().to_owned(), false));
    pieces
}

fn scrub_addresses(text: &str, address: Say<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.';
    while let Some(begin) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(begin);
        out.push_str(before);
        let end = from.find(|letter| !is_part(letter)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        let number = run.trim_end_matches('.');
        if number.parse::<Ipv4Addr>().is_ok() {
            out.push_str(&address(number).unwrap_or_else(|| "[address]".into()));
            out.push_str(run.get(number.len()..).unwrap_or_default());
        } else {
            out.push_str(run);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::finding::quoted;

    #[test]
    fn finds_names_and_addresses_in_text() {
        let mut names = Names::default();
        ["alice", "alice.smith", "a"].iter().for_each(|name| names.note(name));
        let said = scrub(
            "alice.smith and DOM\\alice at 192.0.2.10:1723, 10.0.0.1. malice 1.2.3.4.5 a 0.1.0",
            &names,
            &|_| None,
            &|address| Some(format!("<{address}>")),
        );
        assert_eq!(said, "[user] and DOM\\[user] at <192.0.2.10>:1723, <10.0.0.1>. malice 1.2.3.4.5 a 0.1.0");
    }

    #[test]
    fn words_of_others_go() {
        let said = |text: &str| scrub(text, &Names::default(), &|_| None, &|_| None);
        let hostile = quoted("mallory” calls from “00-11-22");
        assert_eq!(
            said(&format!("pppd: {hostile}; {} 3 times", quoted("bob"))),
            "pppd: [words]; [words] 3 times"
        );
        assert_eq!(said("pppd: “mallory"), "pppd: [words]");
    }

    #[test]
    fn remembers_no_more_than_it_should() {
        let mut names = Names::default();
        (0..5000).for_each(|number| names.note(&format!("user-{number}")));
        assert_eq!((names.known.len(), names.order.len()), (REMEMBERED, REMEMBERED));
        assert!(names.known.contains("user-4999") && !names.known.contains("user-0"));
    }

    #[test]
    fn splits_ports() {
        assert_eq!(split_port("192.0.2.1:1812"), ("192.0.2.1", ":1812"));
        assert_eq!(split_port("192.0.2.1"), ("192.0.2.1", ""));
        assert_eq!(split_port("00:11:22"), ("00:11:22", ""));
    }
}
