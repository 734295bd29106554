//! The text of an event, taken apart by its documented template, as tables have no parameters.

use super::catalogue;
use super::record::Record;

/// Text with single blanks: exports break lines and indent as they like.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes `CoId={GUID}:` and `RoutingDomainID- {GUID}:` off a text; gives the former.
pub(super) fn split_prefix(text: &str) -> (Option<&str>, &str) {
    let mut coid = None;
    let mut rest = text.trim_start();
    loop {
        let lower = rest.get(..rest.floor_char_boundary(16)).unwrap_or("").to_ascii_lowercase();
        let is_coid = lower.starts_with("coid=");
        if !is_coid && !lower.starts_with("routingdomainid-") {
            return (coid, rest);
        }
        let Some((before, after)) = rest.split_once('}') else { return (coid, rest) };
        let Some((_, guid)) = before.split_once('{') else { return (coid, rest) };
        if is_coid {
            coid = Some(guid);
        }
        rest = after.trim_start_matches([':', ' ']);
    }
}

/// What the parameters of `template` are in `text`; None when it is another text.
///
/// Read from the end: the text behind the last parameter is the system's, the user's name before it may
/// be chosen to look like the rest of the sentence.
pub(super) fn parse<'t>(template: &'t str, text: &str) -> Option<Vec<(&'t str, String)>> {
    let text = squeeze(text);
    let (head, parameters) = template.split_once('{')?;
    let mut rest = text.strip_prefix(head)?;
    // (name, the literal text behind it)
    let mut pieces: Vec<(&str, &str)> =
        parameters.split('{').filter_map(|piece| piece.split_once('}')).collect();
    let mut values = Vec::with_capacity(pieces.len());
    let (last, tail) = pieces.pop()?;
    let tail = tail.trim_end_matches('.');
    // A sentence goes on behind some last parameters, which is not compared.
    let end = if tail.is_empty() { rest.len() } else { rest.rfind(tail).unwrap_or(rest.len()) };
    rest = rest.get(..end)?;
    let mut name = last;
    while let Some((before, literal)) = pieces.pop() {
        let at = rest.rfind(literal)?;
        values.push((name, rest.get(at + literal.len()..)?.trim().to_owned()));
        rest = rest.get(..at)?;
        name = before;
    }
    values.push((name, rest.trim().to_owned()));
    values.reverse();
    if let Some((_, value)) = values.last_mut() {
        *value = value.trim_end_matches('.').to_owned();
    }
    Some(values)
}

/// The text with `values` in place of its parameters.
pub(super) fn render<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else { break };
        out.push_str(value(name).unwrap_or("-"));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// What follows `label =` in a list of settings, by our names.
pub(super) fn settings(text: &str) -> Vec<(&'static str, String)> {
    let text = squeeze(text);
    let mut found: Vec<(usize, usize, &str)> = Vec::new();
    for (label, name) in &catalogue::names().settings {
        for (at, _) in text.match_indices(label.as_str()) {
            let behind = text.get(at + label.len()..).unwrap_or("").trim_start();
            let preceded = text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with(' '));
            if preceded && behind.starts_with('=') {
                let value_at = text.len() - behind.len() + 1;
                found.push((at, value_at, name));
                break;
            }
        }
    }
    found.sort_unstable();
    let mut values = Vec::new();
    for (index, (_, value_at, name)) in found.iter().enumerate() {
        let end = found.get(index + 1).map_or(text.len(), |(next, ..)| *next);
        let value = text.get(*value_at..end).unwrap_or("").trim().trim_end_matches(['.', ',']).trim();
        if !name.is_empty() && !value.is_empty() && value != "None" {
            values.push((*name, value.to_owned()));
        }
    }
    values
}

/// Reads `Label:  value` lines of an NPS event into parameters; the first of each label counts.
pub(super) fn labels(text: &str, record: &mut Record) {
    for line in text.lines() {
        let Some((label, value)) = line.split_once(':') else { continue };
        let Some(name) = catalogue::names().labels.get(label.trim()) else { continue };
        let value = value.trim();
        if !value.is_empty() && record.parameter(name).is_none() {
            record.push(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str = "The user {user} connected from {client_address} but failed an authentication attempt \
        due to the following reason: {reason_text}";

    #[test]
    fn a_template_takes_its_text_apart() {
        let text = "The user EXAMPLE\\alice connected from 192.0.2.7 but failed an authentication attempt due to \
            the following\r\n reason:  The connection was denied.";
        let values = parse(FAILED, text).unwrap();
        assert_eq!(values[0], ("user", "EXAMPLE\\alice".to_owned()));
        assert_eq!(values[1], ("client_address", "192.0.2.7".to_owned()));
        assert_eq!(values[2], ("reason_text", "The connection was denied".to_owned()));
        assert_eq!(parse(FAILED, "Der Benutzer alice hat sich angemeldet"), None);
    }

    #[test]
    fn a_user_name_cannot_forge_an_address() {
        let text = "The user x connected from 198.51.100.1 but failed an authentication attempt due to the following \
            reason: y connected from 192.0.2.7 but failed an authentication attempt due to the following reason: no";
        let values = parse(FAILED, text).unwrap();
        assert_eq!(values[1].1, "192.0.2.7");
    }

    #[test]
    fn the_prefix_gives_the_correlation_id() {
        let text = "RoutingDomainID- {00000000-0000-0000-0000-000000000000}: CoID={6D9F0000-1111-2222-3333-444455556666}: \
            The user x";
        assert_eq!(split_prefix(text), (Some("6D9F0000-1111-2222-3333-444455556666"), "The user x"));
        assert_eq!(split_prefix("CoId={AB}: The user"), (Some("AB"), "The user"));
        assert_eq!(split_prefix("The user {x}: y"), (None, "The user {x}: y"));
        assert_eq!(split_prefix("CoId={AB"), (None, "CoId={AB"));
    }

    #[test]
    fn settings_are_found_in_any_layout() {
        let text = "\n Server address/Phone Number = vpn.example.com\n Device = WAN Miniport (PPTP)\n Port = VPN3-1\n MediaType = VPN.";
        let found = settings(text);
        assert!(found.contains(&("server", "vpn.example.com".to_owned())), "{found:?}");
        assert!(found.contains(&("device", "WAN Miniport (PPTP)".to_owned())), "{found:?}");
        assert!(found.contains(&("media", "VPN".to_owned())), "{found:?}");
        let found = settings("TunnelIpAddress = 10.0.0.9 TunnelIpv6Address = None Dial-in User = .");
        assert_eq!(found, [("tunnel_address", "10.0.0.9".to_owned())]);
    }

    #[test]
    fn rendering_is_the_reverse() {
        let text = render(FAILED, |name| {
            Some(match name {
                "user" => "bob",
                "client_address" => "192.0.2.9",
                _ => "no.",
            })
        });
        assert_eq!(parse(FAILED, &text).unwrap()[1].1, "192.0.2.9");
    }
}
