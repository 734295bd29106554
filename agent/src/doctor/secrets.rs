//! chap-secrets, without its secrets: they are dropped while the file is read.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Mode};
use super::ppp_options::{Effective, words};
use super::report::{Check, Status};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who calls; `*` is anybody.
    pub client: String,
    /// Who is called: pppd's `name`; `*` is any.
    pub server: String,
    /// Whether a third word is there and not empty.
    pub has_secret: bool,
    /// Addresses that the client may have, as they stand there.
    pub addresses: Vec<String>,
    /// From 1.
    pub line: usize,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Where it is.
    pub path: PathBuf,
    /// Who may read it.
    pub mode: Option<Mode>,
    /// Its lines.
    pub entries: Vec<Entry>,
    /// Lines in which a quote is not closed.
    pub unclosed: Vec<usize>,
}

impl Secrets {
    /// Reads the file and forgets every third word of a line.
    pub fn parse(text: &str, path: &Path, mode: Option<Mode>) -> Self {
        let mut secrets = Self { path: path.to_owned(), mode, entries: Vec::new(), unclosed: Vec::new() };
        let mut at = 0;
        for word in words(text) {
            if word.unclosed {
                secrets.unclosed.push(word.line);
            }
            if word.first {
                at = 0;
                let (client, line) = (word.text, word.line);
                let entry =
                    Entry { client, server: String::new(), has_secret: false, addresses: Vec::new(), line };
                secrets.entries.push(entry);
            } else if let Some(entry) = secrets.entries.last_mut() {
                match at {
                    1 => entry.server = word.text,
                    2 => entry.has_secret = !word.text.is_empty(),
                    // Behind `--` stand options of pppd, which may be anything.
                    _ if entry.addresses.last().is_some_and(|last| last == "--") => {}
                    _ => entry.addresses.push(word.text),
                }
            }
            at += 1;
        }
        secrets
    }
}

/// The check.
pub(super) fn check(facts: &Facts) -> Check {
    let why = "pppd looks here for who may call. A line that it cannot use is passed over without a word, and the \
               client hears \"access denied\" (691).";
    let mut check = Check::new("secrets", why);
    let options = Effective::of(&facts.ppp_options);
    let other = facts.ppp_options.iter().find(|option| {
        let value = option.value.as_deref().unwrap_or_default();
        option.name == "plugin" && (value.contains("radius") || value.contains("winbind"))
    });
    if let Some(plugin) = other {
        let plugin = plugin.value.as_deref().unwrap_or_default();
        return check.skipped(format!("{plugin} authenticates, not chap-secrets"));
    }
    let uses_accel = facts.accel.as_ref().ok().and_then(super::accel_conf::AccelConf::secrets).is_some();
    if !facts.has_pptpd() && !uses_accel {
        return check.skipped("no daemon here reads chap-secrets");
    }
    let secrets = match &facts.secrets {
        Ok(secrets) => secrets,
        Err(super::facts::Unseen::Absent(path)) => {
            check.fail(
                format!("{path} does not exist: nobody can log in"),
                format!("create {path} with mode 600: USER SERVER SECRET ADDRESS"),
            );
            return check;
        }
        Err(unseen) => return check.unknown(unseen.to_string()),
    };
    let file = secrets.path.display();
    check.saw(format!("{file}: {} entries", secrets.entries.len()));
    if let Some(mode) = secrets.mode {
        if mode.bits & 0o077 != 0 {
            let status = if mode.bits & 0o007 != 0 { Status::Fail } else { Status::Warn };
            let what = format!("mode {:o}: others than root may read the passwords", mode.bits);
            check.at(status, file.to_string(), what, format!("chmod 600 {file}"));
        }
        if mode.uid != 0 {
            let what = format!("it belongs to user {}, who may change it", mode.uid);
            check.at(Status::Warn, file.to_string(), what, format!("chown root:root {file}"));
        }
    }
    if secrets.entries.is_empty() {
        check.at(
            Status::Fail,
            file.to_string(),
            "it has no entry: nobody can log in",
            "USER SERVER SECRET ADDRESS",
        );
    }
    for line in &secrets.unclosed {
        check.at(
            Status::Fail,
            format!("{file}:{line}"),
            "a quote is not closed: everything behind it is part of one word",
            "close the quote, or put a backslash before it",
        );
    }
    lines(
        &mut check,
        secrets,
        options.get("name").and_then(|option| option.value.as_deref()),
        facts.has_pptpd(),
    );
    check
}

fn lines(check: &mut Check, secrets: &Secrets, name: Option<&str>, is_pppd: bool) {
    let file = secrets.path.display();
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut addresses: BTreeMap<Ipv4Addr, &Entry> = BTreeMap::new();
    for entry in &secrets.entries {
        let place = || format!("{file}:{}", entry.line);
        let client = &entry.client;
        if entry.server.is_empty() || !entry.has_secret {
            check.at(
                Status::Fail,
                place(),
                format!("{client}: no secret: three words are needed"),
                "USER SERVER SECRET ADDRESS",
            );
            continue;
        }
        if let Some(first) = seen.insert((client, &entry.server), entry.line) {
            let what =
                format!("{client} {} is there twice (line {first}): only one of them counts", entry.server);
            check.at(Status::Fail, place(), what, "delete the line that is out of date");
        }
        if is_pppd && entry.addresses.first().is_none_or(|first| first == "--") {
            let what = format!(
                "{client}: no address is allowed, so pppd refuses the client (\"not authorized to use remote address\")"
            );
            check.at(Status::Fail, place(), what, "put * behind the secret, or the client's address");
        }
        for given in entry.addresses.iter().take_while(|given| *given != "--") {
            let bare =
                given.trim_start_matches('!').split('/').next().unwrap_or_default().trim_end_matches('+');
            if matches!(given.as_str(), "*" | "-") {
                continue;
            }
            let numeric = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            match bare.parse::<Ipv4Addr>() {
                Ok(address) if !given.contains(['/', '!']) => {
                    if let Some(other) =
                        addresses.insert(address, entry).filter(|other| other.client != *client)
                    {
                        let what = format!(
                            "{address} is that of {client} and of {} (line {})",
                            other.client, other.line
                        );
                        check.at(Status::Warn, place(), what, "give each client an address of its own, or *");
                    }
                }
                Err(_) if numeric => {
                    check.at(Status::Fail, place(), format!("{client}: {given} is no address"), "");
                }
                _ => {}
            }
        }
    }
    if let Some(name) = name
        && !secrets.entries.is_empty()
        && !secrets.entries.iter().any(|entry| entry.server == "*" || entry.server == name)
    {
        let mut given: Vec<_> = secrets.entries.iter().map(|entry| entry.server.as_str()).collect();
        given.sort_unstable();
        given.dedup();
        given.truncate(5);
        let what =
            format!("pppd calls itself {name}, and no entry is for it (they are for {})", given.join(", "));
        check.at(
            Status::Fail,
            file.to_string(),
            what,
            format!("write {name} or * as second word, or change `name` in pppd's options"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Secrets\nalice vpn wonder-land *\nbob vpn \"buil der\" 10.0.0.7\nalice vpn other *\ncarol vpn\ndave vpn pw-d\neve vpn pw-e 10.0.0.7\nfrank vpn pw-f 10.0.0.999\n";

    fn judged(text: &str, name: Option<&str>) -> Check {
        let mut check = Check::new("secrets", "");
        let secrets = Secrets::parse(text, Path::new("/s"), None);
        lines(&mut check, &secrets, name, true);
        check
    }

    #[test]
    fn no_secret_survives() {
        let secrets = Secrets::parse(TEXT, Path::new("/s"), None);
        let text = format!("{secrets:?}{:?}", judged(TEXT, Some("vpn")));
        for secret in ["wonder", "buil", "other", "pw-"] {
            assert!(!text.contains(secret), "{secret}");
        }
        assert_eq!(secrets.entries[1].addresses, ["10.0.0.7"]);
    }

    #[test]
    fn names_each_line() {
        let check = judged(TEXT, Some("vpn"));
        let places: Vec<_> = check.problems.iter().map(|problem| problem.place.as_deref().unwrap()).collect();
        assert_eq!(places, ["/s:4", "/s:5", "/s:6", "/s:7", "/s:8"]);
        assert_eq!(judged("a vpn x *\n", Some("vpn")).status, Status::Ok);
    }

    #[test]
    fn the_name_must_be_there() {
        let check = judged("a server x *\n", Some("vpn"));
        assert_eq!(check.status, Status::Fail);
        assert!(check.problems[0].what.contains("they are for server"));
        assert_eq!(judged("a * x *\n", Some("vpn")).status, Status::Ok);
    }
}
