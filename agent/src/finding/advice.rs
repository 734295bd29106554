//! MTU, MRU and MSS that fit a call, from what it really negotiated, with the arithmetic.

use super::dossier::Dossier;
use crate::event::Party;

/// IPv4 header without options.
const IP: u16 = 20;
/// GRE header of RFC 2637 with sequence number and acknowledgement. Packets without the latter are 4
/// bytes shorter, but any packet may carry it.
const GRE: u16 = 16;
/// MTU of Ethernet: what a path has as long as nobody says otherwise.
const ETHERNET: u16 = 1500;
/// pppd takes this much off the interface's MTU when MPPE is agreed on (MPPE_PAD): the option is that
/// much larger than the MTU that it makes.
const MPPE_PAD: u16 = 4;
/// Smallest MTU of IPv4.
const SMALLEST: u16 = 68;

/// What fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// MTU of the pppN.
    pub(super) mtu: u16,
    /// Value of pppd's options `mtu` and `mru` that makes it.
    pub(super) mru: u16,
    /// Largest TCP segment in it (IPv4).
    pub(super) mss: u16,
    /// How it is computed.
    pub(super) arithmetic: String,
}

/// The advice for a call. `path` is the MTU of its path where somebody told it.
pub(super) fn mtu(call: &Dossier, path: Option<u16>) -> Advice {
    let both = |flags: &crate::event::PerParty<bool>| *flags.of(Party::Client) && *flags.of(Party::Server);
    // Until CCP is seen the larger overhead is assumed.
    let encrypted = call.ccp.agreed.is_none_or(|agreed| agreed.is_some());
    fit(path, both(&call.lcp.acfc), both(&call.lcp.pfc), encrypted)
}

/// The arithmetic. `acfc` and `pfc`: both ends take frames without address and control field, or with
/// protocol fields of one byte.
fn fit(path: Option<u16>, acfc: bool, pfc: bool, encrypted: bool) -> Advice {
    let address_control = if acfc { 0 } else { 2 };
    // Both 0x0021 and 0x00fd can be written as one byte.
    let protocol = if pfc { 1 } else { 2 };
    let mppe = if encrypted { 4 } else { 0 };
    let (told, whole) = match path {
        Some(path) => ("told by ICMP", path),
        None => ("of Ethernet: nobody told another", ETHERNET),
    };
    let mtu = whole.saturating_sub(IP + GRE + address_control + protocol + mppe).max(SMALLEST);
    let encryption = if encrypted { " - 4 MPPE and inner protocol" } else { "" };
    Advice {
        mtu,
        mru: if encrypted { mtu + MPPE_PAD } else { mtu },
        mss: mtu - 40,
        arithmetic: format!(
            "{whole} (path MTU, {told}) - {IP} IP - {GRE} GRE - {} PPP{encryption} = {mtu}; MSS = {mtu} - 40 = {}",
            address_control + protocol,
            mtu - 40
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_usual_paths() {
        let fits = |path, encrypted| {
            let advice = fit(Some(path), false, false, encrypted);
            (advice.mtu, advice.mru, advice.mss)
        };
        assert_eq!(fits(1500, true), (1456, 1460, 1416));
        assert_eq!(fits(1500, false), (1460, 1460, 1420));
        assert_eq!(fits(1492, true), (1448, 1452, 1408));
        assert_eq!(fits(1454, true), (1410, 1414, 1370));
        assert_eq!(fits(1400, true), (1356, 1360, 1316));
    }

    #[test]
    fn compressed_fields_save_three_bytes_and_the_sum_is_shown() {
        let advice = fit(None, true, true, true);
        assert_eq!(advice.mtu, 1459);
        assert_eq!(
            advice.arithmetic,
            "1500 (path MTU, of Ethernet: nobody told another) - 20 IP - 16 GRE - 1 PPP - 4 MPPE and inner protocol \
             = 1459; MSS = 1459 - 40 = 1419"
        );
        assert_eq!(fit(Some(20), false, false, true).mtu, SMALLEST, "an absurd path");
    }
}
