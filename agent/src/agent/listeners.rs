//! Whether a RADIUS server listens on this host: then what is asked and answered passes loopback only.

/// Sockets of UDP over IPv4 and IPv6, in the agent's network namespace (proc(5)).
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Whether a UDP socket is bound to one of the ports. A table that cannot be read has none.
pub(super) fn any_on(ports: &[u16]) -> bool {
    TABLES.iter().any(|path| std::fs::read_to_string(path).is_ok_and(|table| lists(&table, ports)))
}

/// Whether a table lists a socket on one of the ports that is not connected, as servers are.
fn lists(table: &str, ports: &[u16]) -> bool {
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
        let (local, remote) = (fields.next().and_then(port), fields.next().and_then(port));
        remote == Some(0) && local.is_some_and(|local| ports.contains(&local))
    })
}

#[cfg(test)]
mod tests {
    use super::lists;

    #[test]
    fn servers_are_not_connected() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
             1: 00000000:0714 00000000:0000 07 00000000:00000000\n\
             2: 0100007F:0715 0100007F:C350 01 00000000:00000000\n";
        assert!(lists(table, &[1812]));
        assert!(!lists(table, &[1813, 1645]));
        assert!(!lists("", &[1812]));
    }
}
