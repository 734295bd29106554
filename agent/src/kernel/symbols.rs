//! Addresses of the kernel's functions, and the functions at addresses (/proc/kallsyms).
//!
//! The file is read from end to end each time, some 200,000 lines, and nothing of it is kept: what
//! is asked for is a handful of places where packets are dropped, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use pptpscope_common::layout::Text;

const KALLSYMS: &str = "/proc/kallsyms";

/// Bytes of code that a module is taken to have when nothing says where it ends. The largest of ours,
/// ppp_generic, has about 40 KiB.
const LARGEST_TEXT: u64 = 1 << 16;

/// Code of modules begins and ends with whole pages.
const PAGE: u64 = 4096;

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
pub fn lookup(addresses: &[u64]) -> io::Result<BTreeMap<u64, Symbol>> {
    Ok(lookup_in(BufReader::new(File::open(KALLSYMS)?), addresses))
}

/// Where the functions of these modules lie. Those are left out of which the kernel does not show it.
pub(super) fn texts(modules: &[&str]) -> Vec<Text> {
    // With CAP_SYSLOG it shows where they are.
    let list = fs::read_to_string("/proc/modules").unwrap_or_default();
    let (mut texts, mut reach) = (Vec::new(), Vec::new());
    for module in modules {
        let Some(within) = by_list(&list, module) else { continue };
        match by_sections(&sections(module), within) {
            Some(text) => texts.push(text),
            None => reach.push((*module, within)),
        }
    }
    // It takes the kernel some 100 ms to write them out.
    if !reach.is_empty()
        && let Ok(file) = File::open(KALLSYMS)
    {
        texts.extend(up_to_the_last(reach, BufReader::new(file)));
    }
    texts
}

/// Names and addresses of a module's sections. The files are for root alone.
fn sections(module: &str) -> Vec<(String, u64)> {
    let Ok(folder) = fs::read_dir(Path::new("/sys/module").join(module).join("sections")) else {
        return Vec::new();
    };
    let section = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let address = fs::read_to_string(entry.path()).ok()?;
        let address = u64::from_str_radix(address.trim().trim_start_matches("0x"), 16).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), address))
    };
    folder.filter_map(section).collect()
}

/// As far as the code can reach, by a line of /proc/modules: name, bytes, users, dependents, state, address. A
/// module begins with its code.
fn by_list(modules: &str, module: &str) -> Option<Text> {
    let mut words = modules.lines().map(str::split_ascii_whitespace);
    let mut words = words.find_map(|mut words| (words.next()? == module).then_some(words))?;
    let bytes: u64 = words.next()?.parse().ok()?;
    let start = u64::from_str_radix(words.nth(3)?.strip_prefix("0x")?, 16).ok()?;
    (start != 0).then(|| Text { start, end: start.saturating_add(bytes.min(LARGEST_TEXT)) })
}

/// The pages up to the last function in each. A module's functions are listed together; what is said to be of it
/// after those of another one is what ftrace remembers of its initialisation (ftrace_mod_get_kallsym), in whose place
/// the next module may be.
fn up_to_the_last(reach: Vec<(&str, Text)>, lines: impl BufRead) -> Vec<Text> {
    let mut last: Vec<u64> = reach.iter().map(|(_, text)| text.start).collect();
    let (mut current, mut complete) = (None, BTreeSet::new());
    functions(lines, |line| {
        if current.as_deref() != line.module {
            complete.extend(current.take());
            current = line.module.map(str::to_owned);
        }
        if current.as_ref().is_some_and(|module| complete.contains(module)) {
            return;
        }
        let is_in = |(module, text): &(&str, Text)| {
            line.module == Some(*module) && (text.start..text.end).contains(&line.address)
        };
        if let Some(last) = reach.iter().position(is_in).and_then(|index| last.get_mut(index)) {
            *last = line.address.max(*last);
        }
    });
    let cut =
        |((_, text), last): ((&str, Text), u64)| Text { end: text.end.min((last | (PAGE - 1)) + 1), ..text };
    reach.into_iter().zip(last).map(cut).collect()
}

/// From the first section of code to the next section that is none. None where data do not follow the code: from
/// 6.4 on code of modules lies together, and what follows may be that of another one, today or tomorrow.
fn by_sections(sections: &[(String, u64)], within: Text) -> Option<Text> {
    let is_code = |name: &str| name == ".text" || name.starts_with(".text.") || name == ".noinstr.text";
    let code = || sections.iter().filter(|(name, address)| is_code(name) && *address != 0);
    let start = code().map(|(_, address)| *address).min()?;
    let last = code().map(|(_, address)| *address).max()?;
    let (_, data) = sections.iter().find(|(name, _)| name == ".gnu.linkonce.this_module")?;
    let end = sections.iter().map(|(_, address)| *address).filter(|address| *address > last).min()?;
    (within.start..within.end).contains(data).then_some(Text { start, end })
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
    fn without_sections_the_list_of_modules_tells_where_the_code_is() {
        let modules = "ppp_mppe 16384 1 - Live 0x0000000000000000\n\
                       ppp_generic 45056 4 ppp_mppe,pptp, Live 0xffffffffc05e1000 (E)\n\
                       pppox 16384 1 pptp, Live\n";
        let start = 0xffff_ffff_c05e_1000;
        let text = by_list(modules, "ppp_generic").unwrap();
        assert_eq!(text, Text { start, end: start + 45056 });
        // Hidden, cut, and not there.
        assert_eq!(["ppp_mppe", "pppox", "ppp"].map(|module| by_list(modules, module)), [None; 3]);
        // Its own data are elsewhere; nf_tables came later, right behind its code.
        let lines = "ffffffffc05e1010 t ppp_read\t[ppp_generic]\n\
                     ffffffffc05e7ff0 t ppp_input\t[ppp_generic]\n\
                     ffffffffc05e2ff0 t ppp_ioctl\t[ppp_generic]\n";
        // ftrace remembers its initialisation, which was there before.
        let behind = "ffffffffc05e8ff0 t nft_do_chain\t[nf_tables]\n\
                      ffffffffc05e8010 T ppp_init\t[ppp_generic]\n";
        // The bytes of slhc reach into it as well.
        let slhc = Text { start: start - 0x2000, end: start + 0x2000 };
        let within = vec![("slhc", slhc), ("ppp_generic", text)];
        let found = up_to_the_last(within, format!("{lines}{behind}").as_bytes());
        assert_eq!(found, [Text { end: start - 0x1000, ..slhc }, Text { start, end: start + 0x7000 }]);
    }

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
    fn the_code_of_a_module_ends_where_its_data_begin() {
        let section = |name: &str, address| (name.to_owned(), address);
        let start = 0xffff_ffff_c000_1000;
        let within = Text { start, end: start + 0x8000 };
        let of = |data, this_module| {
            let sections = [
                section(".text", start),
                section(".text.unlikely", start + 0x800),
                section(".rodata", data),
                section(".gnu.linkonce.this_module", this_module),
                section(".init.text", start + 0x9000),
            ];
            by_sections(&sections, within)
        };
        assert_eq!(of(start + 0x2000, start + 0x5000), Some(Text { start, end: start + 0x2000 }));
        assert_eq!(of(start + 0x20_0000, start + 0x20_5000), None, "data are elsewhere");
        assert_eq!(by_sections(&[section(".text", 0)], within), None, "a hidden address");
        assert_eq!(by_sections(&[], within), None);
    }

    #[test]
    fn hidden_addresses_are_none() {
        let hidden = "0000000000000000 T _stext\n0000000000000000 t pptp_rcv\t[pptp]\n";
        assert!(lookup_in(hidden.as_bytes(), &[1]).is_empty());
    }
}
