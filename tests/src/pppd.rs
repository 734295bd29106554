//! The server's log: what each pppd negotiated. It needs pppd's `debug` option for the user's name.

use std::collections::HashMap;

use serde::Serialize;

/// Encryption of a link, in pppd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mppe {
    /// Length of the session key.
    pub bits: u64,
    /// Whether keys change only with the coherency flags (RFC 3078, section 7).
    pub stateful: bool,
}

/// One run of pppd on the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Link {
    /// Process id, as syslog prints it.
    pub pid: u32,
    /// Address of the client as pptpd told it (`remotenumber`).
    pub client: Option<String>,
    /// Name with which the client authenticated, successfully or not.
    pub user: Option<String>,
    /// Network interface.
    pub interface: Option<String>,
    /// Server's end, once IPCP is open.
    pub local_address: Option<String>,
    /// Client's end, once IPCP is open.
    pub remote_address: Option<String>,
    /// Encryption, once CCP is open.
    pub mppe: Option<Mppe>,
}

impl Link {
    /// Whether the link carried IP.
    pub fn is_up(&self) -> bool {
        self.local_address.is_some() && self.remote_address.is_some()
    }
}

/// Reads every run of pppd from a syslog file, in the order of their start.
pub fn links(log: &str) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut by_pid: HashMap<u32, usize> = HashMap::new();
    for line in log.lines() {
        let Some((pid, message)) = pppd_message(line) else { continue };
        if message.starts_with("pppd ") && message.contains(" started by ") || !by_pid.contains_key(&pid) {
            by_pid.insert(pid, links.len());
            links.push(Link { pid, ..Link::default() });
        }
        if let Some(link) = by_pid.get(&pid).and_then(|&index| links.get_mut(index)) {
            read_message(link, message);
        }
    }
    links
}

/// Process id and text of a line such as `… host pppd[123]: text`.
fn pppd_message(line: &str) -> Option<(u32, &str)> {
    let (_, after) = line.split_once(" pppd[")?;
    let (pid, message) = after.split_once("]: ")?;
    Some((pid.parse().ok()?, message))
}

fn read_message(link: &mut Link, message: &str) {
    let word = |text: &str| text.split_whitespace().next().map(str::to_owned);
    if let Some(rest) = message.strip_prefix("Using interface ") {
        link.interface = word(rest);
    } else if let Some(rest) = message.strip_prefix("peer from calling number ") {
        link.client = word(rest);
    } else if let Some(rest) = message.strip_prefix("local  IP address ") {
        link.local_address = word(rest);
    } else if let Some(rest) = message.strip_prefix("remote IP address ") {
        link.remote_address = word(rest);
    } else if let Some(rest) = message.strip_prefix("MPPE ") {
        // "128-bit stateless compression enabled"
        let mut words = rest.split_whitespace();
        let bits = words.next().and_then(|bits| bits.strip_suffix("-bit")?.parse().ok());
        let stateful = match words.next() {
            Some("stateful") => Some(true),
            Some("stateless") => Some(false),
            _ => None,
        };
        if let (Some(bits), Some(stateful)) = (bits, stateful) {
            link.mppe = Some(Mppe { bits, stateful });
        }
    } else if message.starts_with("rcvd [CHAP Response ") {
        link.user = quoted(message, "name = \"");
    } else if message.starts_with("rcvd [PAP AuthReq ") {
        link.user = quoted(message, "user=\"");
    }
}

fn quoted(message: &str, before: &str) -> Option<String> {
    let (_, after) = message.split_once(before)?;
    Some(after.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2001-01-01T00:00:00.1+00:00 vpn pptpd[10]: CTRL: Client 192.0.2.10 control connection started
2001-01-01T00:00:00.1+00:00 vpn pppd[11]: pppd 2.4.9 started by root, uid 0
2001-01-01T00:00:00.1+00:00 vpn pppd[11]: Using interface ppp0
2001-01-01T00:00:00.1+00:00 vpn pppd[12]: pppd 2.4.9 started by root, uid 0
2001-01-01T00:00:00.2+00:00 vpn pppd[11]: rcvd [CHAP Response id=0x5 <00>, name = \"alice\"]
2001-01-01T00:00:00.2+00:00 vpn pppd[11]: peer from calling number 192.0.2.10 authorized
2001-01-01T00:00:00.3+00:00 vpn pppd[11]: MPPE 128-bit stateless compression enabled
2001-01-01T00:00:00.4+00:00 vpn pppd[11]: local  IP address 10.10.0.1
2001-01-01T00:00:00.4+00:00 vpn pppd[11]: remote IP address 10.10.0.100
2001-01-01T00:00:00.4+00:00 vpn pppd[12]: rcvd [PAP AuthReq id=0x1 user=\"bob\" password=<hidden>]
2001-01-01T00:00:09.4+00:00 vpn pppd[11]: pppd 2.4.9 started by root, uid 0
";

    #[test]
    fn reads_each_run() {
        let links = links(LOG);
        assert_eq!(links.len(), 3);
        assert_eq!(
            links[0],
            Link {
                pid: 11,
                client: Some("192.0.2.10".into()),
                user: Some("alice".into()),
                interface: Some("ppp0".into()),
                local_address: Some("10.10.0.1".into()),
                remote_address: Some("10.10.0.100".into()),
                mppe: Some(Mppe { bits: 128, stateful: false }),
            }
        );
        assert!(links[0].is_up() && !links[1].is_up());
        assert_eq!(links[1].user.as_deref(), Some("bob"));
        assert_eq!(links[2], Link { pid: 11, ..Link::default() });
    }

    #[test]
    fn other_text_changes_nothing() {
        assert_eq!(links("garbage\n pppd[x]: MPPE\n sshd[4]: local  IP address 1.1.1.1\n"), []);
        let odd = "a pppd[1]: MPPE required but peer negotiation failed\n";
        assert_eq!(links(odd)[0].mppe, None);
    }
}
