//! Clients of RADIUS: radiusclient and radcli (pppd's plugin), and accel-ppp. Shared secrets are
//! dropped while the files are read.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Mode, Unseen};
use super::report::{Check, Status};

/// Port of authentication (RFC 2865) and of accounting (RFC 2866).
const AUTHENTICATION: u16 = 1812;
const ACCOUNTING: u16 = 1813;

/// A server that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As it stands there.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Accounting, not authentication.
    pub accounting: bool,
    /// file:line.
    pub place: String,
    /// A secret stands beside it.
    pub secret: bool,
    /// The secret is one from the examples of the documentation.
    pub example_secret: bool,
    /// What became of a packet without credentials that was sent there.
    pub reached: Reached,
}

/// Whether a server is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// Not tried.
    #[default]
    NotTried,
    /// It answered.
    Answered,
    /// Nothing came back: a server ignores what is not signed.
    Silent,
    /// The network says that nobody is there.
    Refused(String),
    /// The name has no address.
    NoAddress(String),
}

/// A configured client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its file.
    pub path: PathBuf,
    /// Whom it asks.
    pub servers: Vec<Server>,
    /// The file of the secrets, its owner and permissions.
    pub secrets: Option<(PathBuf, Result<Option<Mode>, Unseen>)>,
    /// The dictionary, and whether it is there.
    pub dictionary: Option<(PathBuf, bool)>,
    /// The dictionary lacks Microsoft's attributes.
    pub no_microsoft: bool,
    /// Seconds until it gives up: timeout times tries.
    pub patience: Option<u32>,
}

/// radiusclient.conf or radcli's: names and values parted by blanks.
pub struct ClientConf {
    /// Servers: name, port, accounting, line.
    pub servers: Vec<(String, u16, bool, usize)>,
    /// The file of the secrets.
    pub secrets: Option<PathBuf>,
    /// The dictionary.
    pub dictionary: Option<PathBuf>,
    /// radius_timeout.
    pub timeout: Option<u32>,
    /// radius_retries.
    pub retries: Option<u32>,
}

/// Reads radiusclient.conf; secrets that radcli allows in it are dropped, but it is kept whether one
/// was there.
pub fn parse_client(text: &str) -> (ClientConf, Vec<(String, bool)>) {
    let mut conf =
        ClientConf { servers: Vec::new(), secrets: None, dictionary: None, timeout: None, retries: None };
    let mut inline = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        match name {
            "authserver" | "acctserver" => {
                let accounting = name == "acctserver";
                for given in value.split(',') {
                    // radcli: host:port:secret.
                    let mut parts = given.splitn(3, ':');
                    let host = parts.next().unwrap_or_default().to_owned();
                    let default = if accounting { ACCOUNTING } else { AUTHENTICATION };
                    let port = parts.next().and_then(|port| port.parse().ok()).unwrap_or(default);
                    if let Some(secret) = parts.next() {
                        inline.push((host.clone(), is_example(secret)));
                    }
                    conf.servers.push((host, port, accounting, number + 1));
                }
            }
            "servers" => conf.secrets = Some(value.into()),
            "dictionary" => conf.dictionary = Some(value.into()),
            "radius_timeout" => conf.timeout = value.parse().ok(),
            "radius_retries" => conf.retries = value.parse().ok(),
            _ => {}
        }
    }
    (conf, inline)
}

/// Reads the file of secrets: hosts, and whether the secret is an example. The secrets are dropped.
pub fn parse_secrets(text: &str) -> Vec<(String, bool)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?.to_owned(), is_example(words.next()?)))
        })
        // Pairs are written host/host.
        .flat_map(|(hosts, example)| {
            hosts.split('/').map(|host| (host.to_owned(), example)).collect::<Vec<_>>()
        })
        .collect()
}

/// Secrets that everybody knows from documentation.
fn is_example(secret: &str) -> bool {
    matches!(secret, "testing123" | "testing123-1" | "secret" | "sharedsecret" | "mysecret" | "radius")
}

/// Servers of accel-ppp.conf, `server=HOST,SECRET,auth-port=N,acct-port=N`; the secret is dropped.
pub fn parse_accel(text: &str, path: &Path) -> Vec<Server> {
    let mut section = "";
    let mut servers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        let Some(value) = line.strip_prefix("server=").filter(|_| section == "radius") else { continue };
        let mut parts = value.split(',').map(str::trim);
        let host = parts.next().unwrap_or_default().to_owned();
        let secret = parts.next().unwrap_or_default();
        let (present, example) = (!secret.is_empty(), is_example(secret));
        let rest: Vec<&str> = parts.collect();
        let port = |name: &str| rest.iter().find_map(|part| part.strip_prefix(name)?.parse().ok());
        for (accounting, name, default) in
            [(false, "auth-port=", AUTHENTICATION), (true, "acct-port=", ACCOUNTING)]
        {
            servers.push(Server {
                host: host.clone(),
                port: port(name).unwrap_or(default),
                accounting,
                place: format!("{}:{}", path.display(), number + 1),
                secret: present,
                example_secret: example,
                reached: Reached::NotTried,
            });
        }
    }
    servers
}

/// Status-Server (RFC 5997, section 2.1) without the signature that only who knows the secret can make:
/// a server ignores it, a closed port refuses it.
pub const STATUS_SERVER: [u8; 20] = [12, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Addresses that a name has, IPv4 first.
pub fn resolve(host: &str, port: u16) -> Result<SocketAddrV4, String> {
    use std::net::{SocketAddr, ToSocketAddrs};
    let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let first = found.into_iter().find_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    first.ok_or_else(|| "no IPv4 address".to_owned())
}

/// The check.
pub(super) fn check(facts: &Facts) -> Check {
    let why = "With RADIUS every login waits for the server: one that is not there, or has another secret, lets \
               every client time out (RADIUS servers do not answer a wrong secret).";
    let mut check = Check::new("radius", why);
    if facts.radius.is_empty() {
        return check.skipped("no RADIUS client is configured for PPTP");
    }
    for client in &facts.radius {
        match client {
            Ok(client) => one(&mut check, client),
            Err(Unseen::Absent(path)) => check.at(
                Status::Fail,
                path.clone(),
                "this configuration of the RADIUS client is named and does not exist",
                "install libradcli4 (or radiusclient), or set radius-config-file in pppd's options",
            ),
            Err(unseen) => check.at(Status::Unknown, "", unseen.to_string(), "run as root"),
        }
    }
    check
}

fn one(check: &mut Check, client: &Client) {
    let file = client.path.display();
    check.saw(format!("{file}: {} servers", client.servers.len()));
    if !client.servers.iter().any(|server| !server.accounting) {
        check.at(Status::Fail, file.to_string(), "no server for authentication", "authserver HOST:1812");
    }
    for server in &client.servers {
        let who = format!("{}:{}", server.host, server.port);
        let secrets_read = client.secrets.as_ref().is_none_or(|(_, seen)| seen.is_ok());
        if !server.secret && secrets_read {
            let file = client
                .secrets
                .as_ref()
                .map_or_else(|| file.to_string(), |(path, _)| path.display().to_string());
            check.at(
                Status::Fail,
                server.place.clone(),
                format!("no shared secret for {}", server.host),
                format!("a line \"{} SECRET\" in {file}", server.host),
            );
        }
        if server.example_secret {
            check.at(
                Status::Warn,
                server.place.clone(),
                format!("the secret of {} is one that everybody knows from documentation", server.host),
                "set a long random secret at both ends",
            );
        }
        match &server.reached {
            Reached::NotTried => {}
            Reached::Answered => check.saw(format!("{who} answers")),
            Reached::Silent => check.saw(format!(
                "{who}: nothing refuses packets there (whether it knows the secret, only a login shows)"
            )),
            Reached::Refused(error) => {
                let kind = if server.accounting { "accounting" } else { "authentication" };
                let status = if server.accounting { Status::Warn } else { Status::Fail };
                check.at(
                    status,
                    server.place.clone(),
                    format!("{who} ({kind}) cannot be reached: {error}"),
                    "start the RADIUS server, or correct address and port",
                );
            }
            Reached::NoAddress(error) => {
                check.at(
                    Status::Fail,
                    server.place.clone(),
                    format!("{} cannot be resolved: {error}", server.host),
                    "write its address",
                );
            }
        }
    }
    if let Some((path, seen)) = &client.secrets {
        let path = path.display();
        match seen {
            Ok(Some(mode)) if mode.bits & 0o077 != 0 => {
                let what = format!("mode {:o}: others than root may read the shared secrets", mode.bits);
                check.at(Status::Warn, path.to_string(), what, format!("chmod 600 {path}"));
            }
            Ok(_) => {}
            Err(Unseen::Absent(_)) => check.at(
                Status::Fail,
                path.to_string(),
                "the file of shared secrets does not exist",
                format!("create {path}: HOST SECRET"),
            ),
            Err(unseen) => check.at(Status::Unknown, path.to_string(), unseen.to_string(), "run as root"),
        }
    }
    if let Some((path, exists)) = &client.dictionary
        && !exists
    {
        check.at(
            Status::Fail,
            file.to_string(),
            format!("the dictionary {} does not exist", path.display()),
            "dictionary PATH",
        );
    } else if client.no_microsoft {
        check.at(
            Status::Fail,
            file.to_string(),
            "the dictionary has no attributes of Microsoft: MS-CHAP and MPPE need MS-CHAP2-Response and MS-MPPE-Send-Key",
            "INCLUDE …/dictionary.microsoft in the dictionary",
        );
    }
    if let Some(patience) = client.patience
        && patience > 30
    {
        let what = format!("it waits up to {patience} s for a server, clients give up after about 30 s");
        check.at(Status::Warn, file.to_string(), what, "radius_timeout 5, radius_retries 3");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_clients_and_keeps_no_secret() {
        let text = "authserver radius.example:1645\nacctserver 10.0.0.9\nauthserver 10.0.0.8:1812:inl1ne\nservers /etc/s\nradius_timeout 10\nradius_retries 4\n";
        let (conf, inline) = parse_client(text);
        assert_eq!(conf.servers[0], ("radius.example".to_owned(), 1645, false, 1));
        assert_eq!(conf.servers[1], ("10.0.0.9".to_owned(), 1813, true, 2));
        assert_eq!(inline, [("10.0.0.8".to_owned(), false)]);
        assert!(!format!("{:?}{inline:?}", conf.servers).contains("inl1ne"));
        let secrets = parse_secrets("# x\n10.0.0.9\ttesting123\nbad\na/b pw\n");
        let hosts: Vec<_> = secrets.iter().map(|(host, example)| (host.as_str(), *example)).collect();
        assert_eq!(hosts, [("10.0.0.9", true), ("a", false), ("b", false)]);
        let servers =
            parse_accel("[radius]\nserver=10.0.0.1,pw,auth-port=1645\nserver=10.0.0.2\n", Path::new("/a"));
        assert_eq!((servers[0].port, servers[1].port, servers[2].secret), (1645, 1813, false));
        assert!(!format!("{servers:?}").contains("pw"));
    }

    #[test]
    fn says_what_is_wrong_with_a_server() {
        let server = Server {
            host: "h".to_owned(),
            port: 1812,
            accounting: false,
            place: "/r:1".to_owned(),
            secret: false,
            example_secret: false,
            reached: Reached::Refused("Connection refused".to_owned()),
        };
        let client = Client {
            path: "/r".into(),
            servers: vec![server],
            secrets: Some(("/s".into(), Ok(None))),
            dictionary: None,
            no_microsoft: false,
            patience: Some(40),
        };
        let mut check = Check::new("radius", "");
        one(&mut check, &client);
        let statuses: Vec<_> = check.problems.iter().map(|problem| problem.status).collect();
        assert_eq!(statuses, [Status::Fail, Status::Fail, Status::Warn]);
    }
}
