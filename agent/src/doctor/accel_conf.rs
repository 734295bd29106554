//! accel-ppp.conf, as far as PPTP is concerned.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::report::{Check, Status};

/// What is kept of the file: no value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccelConf {
    /// The file.
    pub path: PathBuf,
    /// Modules that are loaded.
    pub modules: Vec<String>,
    /// Settings by section and name, with their lines; of sections without secrets only.
    settings: BTreeMap<(String, String), (String, usize)>,
    /// Ranges of addresses: first, last, line.
    pub pool: Vec<(u32, u32, usize)>,
    /// Lines that are none.
    mistakes: Vec<(usize, Status, String)>,
}

/// Sections whose values are kept.
const KEPT: [&str; 5] = ["common", "ppp", "auth", "pptp", "chap-secrets"];

impl AccelConf {
    /// Reads the file.
    pub fn parse(text: &str, path: &Path) -> Self {
        let mut conf = Self {
            path: path.to_owned(),
            modules: Vec::new(),
            settings: BTreeMap::new(),
            pool: Vec::new(),
            mistakes: Vec::new(),
        };
        let mut section = String::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                match name.strip_suffix(']') {
                    Some(name) => name.trim().clone_into(&mut section),
                    None => conf.mistakes.push((
                        number,
                        Status::Fail,
                        "a section that is not closed with ]".to_owned(),
                    )),
                }
                continue;
            }
            let (name, value) =
                line.split_once('=').map_or((line, ""), |(name, value)| (name.trim(), value.trim()));
            match section.as_str() {
                "" => conf.mistakes.push((
                    number,
                    Status::Fail,
                    "a setting before the first section".to_owned(),
                )),
                "modules" => conf.modules.push(name.to_owned()),
                "ip-pool" if value.is_empty() || name.contains('.') => match pool(line) {
                    Some((first, last)) => conf.pool.push((first, last, number)),
                    None => {
                        conf.mistakes.push((
                            number,
                            Status::Warn,
                            format!("{name} is no range of addresses"),
                        ));
                    }
                },
                kept if KEPT.contains(&kept) => {
                    conf.settings.insert((section.clone(), name.to_owned()), (value.to_owned(), number));
                }
                _ => {}
            }
        }
        conf
    }

    /// Whether the module pptp is loaded.
    pub fn serves_pptp(&self) -> bool {
        self.has_module("pptp")
    }

    fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module == name || module.strip_prefix("lib") == Some(name))
    }

    /// The value of a setting, and its line.
    pub fn get(&self, section: &str, name: &str) -> Option<(&str, usize)> {
        self.settings.get(&(section.to_owned(), name.to_owned())).map(|(value, line)| (value.as_str(), *line))
    }

    /// chap-secrets, when this daemon uses it.
    pub fn secrets(&self) -> Option<PathBuf> {
        self.has_module("chap-secrets").then(|| {
            self.get("chap-secrets", "chap-secrets").map_or("/etc/ppp/chap-secrets", |(path, _)| path).into()
        })
    }

    /// Addresses of its pools.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.pool.iter().flat_map(|(first, last, _)| *first..=*last).take(1 << 17).map(Ipv4Addr::from)
    }
}

/// `a.b.c.d-e`, `a.b.c.d/len` or `a.b.c.d-a.b.c.e`, perhaps with options behind a comma.
fn pool(line: &str) -> Option<(u32, u32)> {
    let range = line.split(',').next()?.trim();
    if let Some((address, length)) = range.split_once('/') {
        let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let host = u32::MAX.checked_shr(length.parse().ok()?).unwrap_or(0);
        return Some((address & !host, address | host));
    }
    let Some((first, last)) = range.split_once('-') else {
        let address = u32::from(range.parse::<Ipv4Addr>().ok()?);
        return Some((address, address));
    };
    let first: Ipv4Addr = first.parse().ok()?;
    let last = match last.parse::<u8>() {
        Ok(last) => {
            let [a, b, c, _] = first.octets();
            Ipv4Addr::new(a, b, c, last)
        }
        Err(_) => last.parse().ok()?,
    };
    (first <= last).then(|| (first.into(), last.into()))
}

/// The check.
pub(super) fn check(facts: &Facts) -> Check {
    let why = "accel-ppp serves PPTP only with its modules for it, and authenticates only by protocols whose \
               modules are loaded.";
    let mut check = Check::new("accel_ppp.conf", why);
    let conf = match &facts.accel {
        Ok(conf) => conf,
        Err(super::facts::Unseen::Absent(what)) => {
            return check.skipped(format!("no accel-ppp here: {what} does not exist"));
        }
        Err(unseen) => return check.unknown(unseen.to_string()),
    };
    let file = conf.path.display();
    check.saw(format!("{file}: modules {}", conf.modules.join(" ")));
    for (line, status, what) in &conf.mistakes {
        check.at(*status, format!("{file}:{line}"), what.clone(), "");
    }
    if !conf.serves_pptp() {
        return check.skipped("its module pptp is not loaded");
    }
    let mppe = ["pptp", "ppp"].into_iter().find_map(|section| conf.get(section, "mppe"));
    let v2 = conf.has_module("auth_mschap_v2");
    let v1 = conf.has_module("auth_mschap_v1");
    match mppe {
        Some(("require", line)) if !v1 && !v2 => check.at(
            Status::Fail,
            format!("{file}:{line}"),
            "mppe=require without auth_mschap_v2 in [modules]: MPPE's keys come from MS-CHAP",
            "add auth_mschap_v2 to [modules]",
        ),
        Some(("require" | "prefer" | "allow", _)) => {}
        Some(("deny", line)) => check.at(
            Status::Warn,
            format!("{file}:{line}"),
            "mppe=deny: everything is sent in clear",
            "mppe=require",
        ),
        Some((other, line)) => check.at(
            Status::Warn,
            format!("{file}:{line}"),
            format!("mppe={other} is none of require, prefer, allow, deny"),
            "mppe=require",
        ),
        None => check.at(
            Status::Warn,
            file.to_string(),
            "no mppe setting: a client may send everything in clear",
            "mppe=require in [ppp]",
        ),
    }
    for (module, what) in
        [("auth_pap", "PAP"), ("auth_chap_md5", "CHAP with MD5"), ("auth_mschap_v1", "MS-CHAP version 1")]
    {
        if conf.has_module(module) {
            check.warn(
                format!("{module}: {what} gives the password away"),
                format!("delete {module} from [modules]"),
            );
        }
    }
    if !["auth_pap", "auth_chap_md5", "auth_mschap_v1", "auth_mschap_v2"]
        .iter()
        .any(|module| conf.has_module(module))
    {
        check.fail("no module for authentication is loaded", "add auth_mschap_v2 to [modules]");
    }
    let number = |section: &str, name: &str| {
        conf.get(section, name).and_then(|(value, line)| Some((value.parse::<u32>().ok()?, line)))
    };
    let uplink = facts.uplinks().iter().map(|device| device.mtu).min().unwrap_or(1500);
    let fits = uplink.saturating_sub(super::ppp_options::OVERHEAD);
    for (section, name) in [("ppp", "mtu"), ("ppp", "mru"), ("pptp", "ppp-max-mtu")] {
        if let Some((size, line)) = number(section, name).filter(|(size, _)| *size > fits) {
            let what = format!("{name}={size}: packets of more than {fits} bytes are fragmented on the wire");
            check.at(Status::Warn, format!("{file}:{line}"), what, format!("{name}={}", fits.min(1400)));
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[modules]\npptp\nauth_mschap_v2\nradius\n[ppp]\nmtu=1400\nmppe=require # yes\n[radius]\n\
                        server=10.0.0.1,s3cr3t,auth-port=1812\n[ip-pool]\ngw-ip-address=10.9.0.1\n10.9.0.2-5\n10.9.1.0/30,name=x\n";

    #[test]
    fn keeps_no_secret() {
        let conf = AccelConf::parse(TEXT, Path::new("/etc/accel-ppp.conf"));
        assert!(!format!("{conf:?}").contains("s3cr3t"));
        assert!(conf.serves_pptp() && conf.has_module("radius"));
        assert_eq!(conf.get("ppp", "mppe"), Some(("require", 7)));
        assert!(conf.mistakes.is_empty(), "{:?}", conf.mistakes);
    }

    #[test]
    fn reads_pools() {
        let conf = AccelConf::parse(TEXT, Path::new("/x"));
        let addresses: Vec<_> = conf.addresses().map(|address| address.to_string()).collect();
        assert_eq!(addresses.len(), 8);
        assert_eq!((addresses[0].as_str(), addresses[4].as_str()), ("10.9.0.2", "10.9.1.0"));
        assert_eq!(pool("10.0.0.9-5"), None);
        assert_eq!(pool("10.0.0.0/99"), Some((0x0a00_0000, 0x0a00_0000)));
    }
}
