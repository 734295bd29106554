//! Addresses of the kernel's functions, and the functions at addresses (/proc/kallsyms).
//!
//! The file is read from end to end each time, some 200,000 lines, and nothing of it is kept: what
//! is asked for is a handful of places where packets are dropped, each once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use pptpscope_common::layout::Text;

const KALLSYMS: &str = "/proc/kallsyms";

/// Bytes that the last function of a module is taken to have: nothing says where it ends.
const LAST_FUNCTION: u64 = 4096;

/// A place in a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The function; without the suffixes that the compiler gives to parts and clones of it.
    pub function: String,
    /// Its module; absent for the kernel itself.
    pub module: Option<String>,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// The functions at `addresses`. One that is not found is left out.
///
/// # Errors
/// The kernel does not show its symbols.
pub(super) fn lookup(addresses: &[u64]) -> io::Result<BTreeMap<u64, Symbol>> {
    Ok(lookup_in(BufReader::new(File::open(KALLSYMS)?), addresses))
}

/// Where the functions of `modules` lie. A module without functions is left out.
///
/// # Errors
/// The kernel does not show its symbols.
pub(super) fn texts(modules: &[&str]) -> io::Result<BTreeMap<String, Text>> {
    Ok(texts_in(BufReader::new(File::open(KALLSYMS)?), modules))
}

/// A line: address, type, name, and the module in brackets.
struct Line<'a> {
    address: u64,
    name: &'a str,
    module: Option<&'a str>,
}

/// Calls `each` for every function. Zero addresses are what a process without CAP_SYSLOG sees.
fn functions(mut lines: impl BufRead, mut each: impl FnMut(&Line<'_>)) {
    let mut text = String::new();
    while lines.read_line(&mut text).is_ok_and(|length| length > 0) {
        if let Some(line) = parse(&text) {
            each(&line);
        }
        text.clear();
    }
}

fn parse(text: &str) -> Option<Line<'_>> {
    let mut words = text.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok().filter(|address| *address != 0)?;
    words.next().filter(|kind| matches!(*kind, "t" | "T" | "w" | "W"))?;
    let name = words.next()?;
    let module = words.next().and_then(|word| word.strip_prefix('[')?.strip_suffix(']'));
    Some(Line { address, name, module })
}

fn lookup_in(lines: impl BufRead, addresses: &[u64]) -> BTreeMap<u64, Symbol> {
    let mut found: BTreeMap<u64, (u64, Symbol)> = BTreeMap::new();
    functions(lines, |line| {
        for address in addresses.iter().filter(|address| **address >= line.address) {
            let nearer = found.get(address).is_none_or(|(start, _)| line.address > *start);
            if nearer {
                let symbol = Symbol {
                    function: line.name.split('.').next().unwrap_or(line.name).to_owned(),
                    module: line.module.map(str::to_owned),
                    offset: address - line.address,
                };
                found.insert(*address, (line.address, symbol));
            }
        }
    });
    found.into_iter().map(|(address, (_, symbol))| (address, symbol)).collect()
}

fn texts_in(lines: impl BufRead, modules: &[&str]) -> BTreeMap<String, Text> {
    let mut texts: BTreeMap<String, Text> = BTreeMap::new();
    functions(lines, |line| {
        let Some(module) = line.module.filter(|module| modules.contains(module)) else { return };
        // What runs once at loading lies elsewhere and is freed; nothing is dropped there.
        if matches!(line.name, "init_module" | "cleanup_module") || line.name.starts_with("__pfx_") {
            return;
        }
        let text = texts.entry(module.to_owned()).or_insert(Text { start: line.address, end: 0 });
        text.start = text.start.min(line.address);
        text.end = text.end.max(line.address + LAST_FUNCTION);
    });
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000100 t nft_do_chain.constprop.0
ffffffff81000200 D some_data
ffffffff81000400 T kfree_skb_list
ffffffffc0001010 t pptp_rcv\t[pptp]
ffffffffc0001000 t pptp_xmit\t[pptp]
ffffffffc0001400 t pptp_rcv_core\t[pptp]
ffffffffc0009000 t init_module\t[pptp]
ffffffffc0100000 t ppp_read\t[ppp_generic]
garbage
";

    #[test]
    fn names_the_function_at_an_address() {
        let asked = [0xffff_ffff_8100_0250, 0xffff_ffff_c000_1020, 0xffff_ffff_c000_1007, 5];
        let found = lookup_in(LINES.as_bytes(), &asked);
        let symbol = |address| {
            let symbol: &Symbol = &found[&address];
            (symbol.function.as_str(), symbol.module.as_deref(), symbol.offset)
        };
        assert_eq!(symbol(asked[0]), ("nft_do_chain", None, 0x150), "data is no function");
        assert_eq!(symbol(asked[1]), ("pptp_rcv", Some("pptp"), 0x10));
        assert_eq!(symbol(asked[2]), ("pptp_xmit", Some("pptp"), 7));
        assert!(!found.contains_key(&5));
    }

    #[test]
    fn spans_the_functions_of_a_module() {
        let texts = texts_in(LINES.as_bytes(), &["pptp", "gre"]);
        let pptp = Text { start: 0xffff_ffff_c000_1000, end: 0xffff_ffff_c000_2400 };
        assert_eq!(texts, BTreeMap::from([("pptp".to_owned(), pptp)]));
    }

    #[test]
    fn hidden_addresses_are_none() {
        let hidden = "0000000000000000 T _stext\n0000000000000000 t pptp_rcv\t[pptp]\n";
        assert!(lookup_in(hidden.as_bytes(), &[1]).is_empty());
        assert!(texts_in(hidden.as_bytes(), &["pptp"]).is_empty());
    }
}
