//! Database-compatible format: the columns are always the same and have no header.

use crate::windows::csv::rows;
use crate::windows::{Error, Intake, accounting};

/// The columns, in their order. The names are those of the other formats; [`SKIPPED`] is not kept.
const COLUMNS: [&str; 67] = [
    "Computer-Name",
    SKIPPED, // ServiceName
    "Record-Date",
    "Record-Time",
    "Packet-Type",
    "User-Name",
    "Fully-Qualified-Distinguished-Name",
    "Called-Station-Id",
    "Calling-Station-Id",
    SKIPPED, // Callback-Number
    "Framed-IP-Address",
    "NAS-Identifier",
    "NAS-IP-Address",
    "NAS-Port",
    SKIPPED, // Client-Vendor
    "Client-IP-Address",
    "Client-Friendly-Name",
    "Event-Timestamp",
    SKIPPED, // Port-Limit
    "NAS-Port-Type",
    SKIPPED, // Connect-Info
    SKIPPED, // Framed-Protocol
    SKIPPED, // Service-Type
    "Authentication-Type",
    "Policy-Name",
    "Reason-Code",
    "Class",
    "Session-Timeout",
    SKIPPED, // Idle-Timeout
    SKIPPED, // Termination-Action
    SKIPPED, // EAP-Friendly-Name
    "Acct-Status-Type",
    "Acct-Delay-Time",
    "Acct-Input-Octets",
    "Acct-Output-Octets",
    "Acct-Session-Id",
    SKIPPED, // Acct-Authentic
    "Acct-Session-Time",
    "Acct-Input-Packets",
    "Acct-Output-Packets",
    "Acct-Terminate-Cause",
    "Acct-Multi-Session-Id",
    SKIPPED, // Acct-Link-Count
    SKIPPED, // Acct-Interim-Interval
    "Tunnel-Type",
    SKIPPED, // Tunnel-Medium-Type
    "Tunnel-Client-Endpoint",
    "Tunnel-Server-Endpoint",
    SKIPPED, // Acct-Tunnel-Connection
    SKIPPED, // Tunnel-Private-Group-Id
    SKIPPED, // Tunnel-Assignment-Id
    SKIPPED, // Tunnel-Preference
    SKIPPED, // MS-Acct-Auth-Type
    SKIPPED, // MS-Acct-EAP-Type
    SKIPPED, // MS-RAS-Version
    SKIPPED, // MS-RAS-Vendor
    "MS-CHAP-Error",
    SKIPPED, // MS-CHAP-Domain
    "MS-MPPE-Encryption-Types",
    "MS-MPPE-Encryption-Policy",
    "Proxy-Policy-Name",
    SKIPPED, // Provider-Type
    SKIPPED, // Provider-Name
    SKIPPED, // Remote-Server-Address
    "MS-RAS-Client-Name",
    SKIPPED, // MS-RAS-Client-Version
    SKIPPED, // Reserved
];
const SKIPPED: &str = "";

/// Columns that every record has: up to the packet type.
const LEAST: usize = 5;

/// Whether a line is such a record.
pub(in crate::windows) fn is_record(line: &str) -> bool {
    rows(line, b',').into_records().next().and_then(Result::ok).is_some_and(|row| {
        row.len() >= LEAST
            && row
                .get(2)
                .is_some_and(|date| date.split(['/', '-', '.']).filter(|part| !part.is_empty()).count() == 3)
            && row.get(3).is_some_and(|time| time.contains(':'))
            && row.get(4).is_some_and(|packet| packet.parse::<u8>().is_ok())
    })
}

/// Reads every line.
pub(in crate::windows) fn read(text: &str, intake: &mut Intake) -> Result<(), Error> {
    for row in rows(text, b',').records() {
        match row {
            Ok(row) if row.len() >= LEAST => {
                let named = COLUMNS.iter().zip(row.iter()).filter(|(name, _)| **name != SKIPPED);
                intake.record(accounting::record(named.map(|(name, value)| ((*name).into(), value.into()))));
            }
            _ => intake.damaged(),
        }
    }
    Ok(())
}
