//! Configuration of the daemons: pptpd, accel-ppp, pppd, and whom they ask for passwords.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::root::Root;
use crate::doctor::accel_conf::AccelConf;
use crate::doctor::facts::{Process, Seen, Unseen};
use crate::doctor::ppp_options::{self, Option as PppOption, PluginFile, Pppd, Strings, Version};
use crate::doctor::pptpd_conf::PptpdConf;
use crate::doctor::radius::{self, Client, Reached, Server};
use crate::doctor::secrets::Secrets;

/// Files that one options file may lead to; pppd itself has no limit, and would follow a circle.
const MAX_FILES: usize = 16;

/// Servers that are asked; each may take half a second.
const MAX_SERVERS: usize = 16;
/// Files of a dictionary that are read. Some are included from several others.
const MAX_DICTIONARIES: u32 = 64;

pub(super) fn pptpd(root: &Root, processes: &Seen<Vec<Process>>) -> Seen<PptpdConf> {
    let running = processes.iter().flatten().find(|process| process.name == "pptpd");
    let path = running.and_then(PptpdConf::file_of).unwrap_or_else(|| "/etc/pptpd.conf".into());
    let conf = PptpdConf::parse(&root.text(&path)?, &path);
    Ok(match running {
        Some(process) => conf.with_arguments(process),
        None => conf,
    })
}

pub(super) fn accel(root: &Root, processes: &Seen<Vec<Process>>) -> Seen<AccelConf> {
    let running = processes.iter().flatten().find(|process| process.name == "accel-pppd");
    // Its option has the same letter as pptpd's.
    let path = running.and_then(PptpdConf::file_of).unwrap_or_else(|| "/etc/accel-ppp.conf".into());
    Ok(AccelConf::parse(&root.text(&path)?, &path))
}

/// Options of pppd: the system's, then those of pptpd's file, and the files they name.
pub(super) fn options(root: &Root, conf: &Seen<PptpdConf>) -> (Vec<PppOption>, Vec<(PathBuf, Unseen)>) {
    let (mut options, mut unread) = (Vec::new(), Vec::new());
    let Ok(conf) = conf else { return (options, unread) };
    let mut read = BTreeSet::new();
    // That one may be missing.
    match root.text("/etc/ppp/options") {
        Ok(text) => include(root, &text, Path::new("/etc/ppp/options"), &mut options, &mut unread, &mut read),
        Err(Unseen::Absent(_)) => {}
        Err(why) => unread.push(("/etc/ppp/options".into(), why)),
    }
    if let Some(path) = &conf.option {
        file(root, path, &mut options, &mut unread, &mut read);
    }
    if conf.logwtmp {
        options.push(PppOption {
            name: "plugin".to_owned(),
            value: Some("/usr/lib/pptpd/pptpd-logwtmp.so".to_owned()),
            file: conf.path.clone(),
            line: 0,
        });
    }
    (options, unread)
}

fn file(
    root: &Root,
    path: &Path,
    options: &mut Vec<PppOption>,
    unread: &mut Vec<(PathBuf, Unseen)>,
    read: &mut BTreeSet<PathBuf>,
) {
    if read.len() >= MAX_FILES || !read.insert(path.to_owned()) {
        return;
    }
    match root.text(path) {
        Ok(text) => include(root, &text, path, options, unread, read),
        Err(why) => unread.push((path.to_owned(), why)),
    }
}

fn include(
    root: &Root,
    text: &str,
    path: &Path,
    options: &mut Vec<PppOption>,
    unread: &mut Vec<(PathBuf, Unseen)>,
    read: &mut BTreeSet<PathBuf>,
) {
    for option in ppp_options::parse(text, path) {
        let named = match (option.name.as_str(), &option.value) {
            ("file", Some(file)) => Some(PathBuf::from(file)),
            ("call", Some(name)) => Some(Path::new("/etc/ppp/peers").join(name)),
            _ => None,
        };
        options.push(option);
        if let Some(named) = named {
            file(root, &named, options, unread, read);
        }
    }
}

/// The installed pppd.
pub(super) fn pppd(root: &Root, conf: &Seen<PptpdConf>, options: &[PppOption]) -> Seen<Pppd> {
    let named = conf.as_ref().ok().and_then(|conf| conf.ppp.clone());
    let candidates: Vec<PathBuf> = match named {
        Some(path) => vec![path],
        None => ["/usr/sbin/pppd", "/sbin/pppd", "/usr/local/sbin/pppd"].map(PathBuf::from).into(),
    };
    let path = candidates.iter().find(|path| root.exists(path) == Some(true));
    let Some(path) = path else {
        return Err(Unseen::Absent(
            candidates.first().map(|path| path.display().to_string()).unwrap_or_default(),
        ));
    };
    let bytes = root.bytes(path).ok();
    let folder = bytes.as_deref().and_then(|bytes| strings(bytes).find_map(plugin_folder));
    let own = bytes.as_deref().map(versions).unwrap_or_default();
    let by_folder = folder.as_deref().and_then(|path| Version::parse(path.file_name()?.to_str()?));
    let version = match (own.as_slice(), by_folder) {
        (_, Some(version)) => Some((version, "by the folder of its plugins")),
        ([version], None) => Some((*version, "as its program says")),
        _ => installed(root, "ppp").map(|version| (version, "as the package says")),
    };
    let names: BTreeSet<&str> = options.iter().map(|option| option.name.as_str()).collect();
    let strings = bytes.as_deref().map(|bytes| Strings::find(bytes, names.iter().copied()));
    let folder = folder.or_else(|| version.map(|(version, _)| format!("/usr/lib/pppd/{version}").into()));
    Ok(Pppd { path: path.clone(), version, plugins: folder, strings })
}

/// Strings of a program that a zero byte ends.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|byte| *byte == 0).filter_map(|string| std::str::from_utf8(string).ok())
}

fn plugin_folder(string: &str) -> Option<PathBuf> {
    let (_, last) = string.rsplit_once("/pppd/").filter(|_| string.starts_with('/'))?;
    Version::parse(last).filter(|version| version.to_string() == last).map(|_| string.into())
}

/// Versions that stand in a program: 2.4.9, nothing else around them.
fn versions(bytes: &[u8]) -> Vec<Version> {
    let whole = |string: &str| Version::parse(string).filter(|version| version.to_string() == *string);
    let found: BTreeSet<Version> =
        strings(bytes).filter_map(whole).filter(|version| version.0 == 2).collect();
    found.into_iter().collect()
}

/// Version of a Debian package.
fn installed(root: &Root, package: &str) -> Option<Version> {
    let status = root.text("/var/lib/dpkg/status").ok()?;
    let paragraph =
        status.split("\n\n").find(|paragraph| paragraph.starts_with(&format!("Package: {package}\n")))?;
    Version::parse(paragraph.lines().find_map(|line| line.strip_prefix("Version: "))?)
}

/// The plugins that options name.
pub(super) fn plugins(root: &Root, options: &[PppOption], pppd: &Seen<Pppd>) -> Vec<PluginFile> {
    let folder = pppd.as_ref().ok().and_then(|pppd| pppd.plugins.clone());
    let names: BTreeSet<&str> = options.iter().map(|option| option.name.as_str()).collect();
    let named = options.iter().filter(|option| option.name == "plugin");
    let plugin = |option: &PppOption| {
        let name = option.value.clone()?;
        let path = match &folder {
            Some(folder) if !name.contains('/') => folder.join(&name),
            _ => PathBuf::from(&name),
        };
        let bytes = root.bytes(&path).unwrap_or_default();
        Some(PluginFile {
            place: if option.line == 0 {
                format!("{}: logwtmp", option.file.display())
            } else {
                option.place()
            },
            exists: root.exists(&path),
            versions: versions(&bytes),
            strings: Strings::find(&bytes, names.iter().copied()),
            name,
            path,
        })
    };
    named.filter_map(plugin).collect()
}

/// chap-secrets: pppd's, or accel-ppp's.
pub(super) fn secrets(root: &Root, options: &[PppOption], accel: &Seen<AccelConf>) -> Seen<Secrets> {
    let named = options.iter().rev().find(|option| option.name == "chap-secrets");
    let path = named
        .and_then(|option| option.value.as_ref().map(PathBuf::from))
        .or_else(|| accel.as_ref().ok()?.secrets())
        .unwrap_or_else(|| "/etc/ppp/chap-secrets".into());
    let mode = root.node(&path).ok().map(|node| node.mode);
    Ok(Secrets::parse(&root.text(&path)?, &path, mode))
}

/// Clients of RADIUS; their servers are asked when this is the running host.
pub(super) fn radius(root: &Root, options: &[PppOption], accel: &Seen<AccelConf>) -> Vec<Seen<Client>> {
    let mut clients = Vec::new();
    let plugin = options.iter().any(|option| {
        option.name == "plugin" && option.value.as_deref().is_some_and(|name| name.ends_with("radius.so"))
    });
    if plugin {
        let named = options.iter().rev().find(|option| option.name == "radius-config-file");
        let known = [
            "/etc/radiusclient/radiusclient.conf",
            "/etc/radcli/radiusclient.conf",
            "/etc/radiusclient-ng/radiusclient.conf",
        ];
        let path = named.and_then(|option| option.value.clone().map(PathBuf::from)).unwrap_or_else(|| {
            let found = known.iter().find(|path| root.exists(Path::new(path)) == Some(true));
            found.or(known.first()).map(PathBuf::from).unwrap_or_default()
        });
        clients.push(radiusclient(root, &path));
    }
    if let Ok(conf) = accel
        && conf.modules.iter().any(|module| module == "radius")
    {
        let client = root.text(&conf.path).map(|text| Client {
            path: conf.path.clone(),
            servers: radius::parse_accel(&text, &conf.path),
            secrets: None,
            dictionary: None,
            no_microsoft: false,
            patience: None,
        });
        clients.push(client);
    }
    if root.is_host() {
        for client in clients.iter_mut().flatten() {
            for server in client.servers.iter_mut().take(MAX_SERVERS) {
                server.reached = reach(&server.host, server.port);
            }
        }
    }
    clients
}

fn radiusclient(root: &Root, path: &Path) -> Seen<Client> {
    let (conf, inline) = radius::parse_client(&root.text(path)?);
    let file = conf.secrets.as_deref();
    let listed = file.map(|file| root.text(file).map(|text| radius::parse_secrets(&text)));
    let mode = |file: &Path| root.node(file).map(|node| Some(node.mode));
    let secret_of = |host: &str| {
        let listed = listed.iter().flatten().flatten();
        let found = listed.chain(&inline).find(|(known, _)| known.as_str() == host);
        found.map(|(_, example)| *example)
    };
    let servers = conf.servers.iter().map(|(host, port, accounting, line)| Server {
        host: host.clone(),
        port: *port,
        accounting: *accounting,
        place: format!("{}:{line}", path.display()),
        secret: secret_of(host).is_some(),
        example_secret: secret_of(host) == Some(true),
        reached: Reached::NotTried,
    });
    let dictionary = conf.dictionary.clone().map(|path| {
        let exists = root.exists(&path) != Some(false);
        (path, exists)
    });
    let no_microsoft =
        conf.dictionary.as_deref().is_some_and(|path| !has_microsoft(root, path, &mut { MAX_DICTIONARIES }));
    let secrets = file.map(|file| {
        let seen = match &listed {
            Some(Err(why)) => Err(why.clone()),
            _ => mode(file),
        };
        (file.to_owned(), seen)
    });
    Ok(Client {
        path: path.to_owned(),
        servers: servers.collect(),
        secrets,
        dictionary,
        no_microsoft,
        patience: conf.timeout.zip(conf.retries).map(|(timeout, tries)| timeout.saturating_mul(tries)),
    })
}

/// Whether a dictionary has MS-CHAP2-Response, itself or in a file it includes. True when it cannot be
/// read: that is another problem.
fn has_microsoft(root: &Root, path: &Path, left: &mut u32) -> bool {
    let Some(less) = left.checked_sub(1) else { return false };
    *left = less;
    let Ok(text) = root.text(path) else { return true };
    text.contains("MS-CHAP2-Response")
        || text.lines().any(|line| {
            let included =
                line.trim().strip_prefix("INCLUDE").or_else(|| line.trim().strip_prefix("$INCLUDE"));
            included.is_some_and(|file| {
                let file = Path::new(file.trim());
                let file = path.parent().map_or_else(|| file.to_owned(), |folder| folder.join(file));
                has_microsoft(root, &file, left)
            })
        })
}

/// Sends a packet without credentials and waits half a second for an answer, or for ICMP's.
fn reach(host: &str, port: u16) -> Reached {
    let address = match radius::resolve(host, port) {
        Ok(address) => address,
        Err(error) => return Reached::NoAddress(error),
    };
    let ask = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send(&radius::STATUS_SERVER)?;
        socket.recv(&mut [0; 4096])
    };
    match ask() {
        Ok(_) => Reached::Answered,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Reached::Silent
        }
        Err(error) => Reached::Refused(error.to_string()),
    }
}
