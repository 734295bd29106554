//! What a message is: what a program puts in front of its messages is taken off, then the catalogue is
//! asked.

use super::catalogue::{self, Entry, Program};
use super::dump::{self, Dump};
use super::pattern::Values;

/// A message of a program of the catalogue.
#[derive(Clone, Debug)]
pub struct Recognised<'a> {
    /// Who said it.
    pub program: Program,
    /// The message; None when the catalogue does not have it.
    pub entry: Option<&'static Entry>,
    /// Its values, in the order of the pattern.
    pub values: Values<'a>,
    /// The interface that accel-ppp names in front.
    pub interface: Option<&'a str>,
    /// Number of the request that FreeRADIUS names in front.
    pub request: Option<u64>,
    /// The module that FreeRADIUS or the kernel names in front.
    pub module: Option<&'a str>,
    /// Whether it is a line of the debug dump of pppd.
    pub is_dump: bool,
}

impl<'a> Recognised<'a> {
    const fn unknown(program: Program, values: Values<'a>) -> Self {
        Self { program, entry: None, values, interface: None, request: None, module: None, is_dump: false }
    }

    /// The negotiation frame, when it is a line of the debug dump.
    pub fn dump(&self, text: &str) -> Option<Dump> {
        self.is_dump.then(|| dump::parse(text.trim())).flatten()
    }
}

/// Looks up `text`, which `program` said.
pub fn of_program(program: Program, text: &str) -> Recognised<'_> {
    let text = text.trim_end();
    match program {
        Program::Pppd => {
            let mut found = lookup(program, text);
            found.is_dump =
                found.entry.is_some() && (text.starts_with("sent [") || text.starts_with("rcvd ["));
            found
        }
        Program::Pptpd => lookup(program, text),
        Program::Pptp => {
            let found = lookup(program, without_source(text).unwrap_or(text));
            // The in-kernel plugin of pppd calls itself so, and says some things that pppd says.
            if found.entry.is_some() { found } else { Recognised { program, ..lookup(Program::Pppd, text) } }
        }
        Program::AccelPpp => accel_ppp(text),
        Program::FreeRadius => freeradius(text),
        Program::Kernel => kernel(text),
    }
}

/// Looks up `text`, of which nobody knows who said it.
pub fn of_anybody(text: &str) -> Option<Recognised<'_>> {
    let text = text.trim();
    Program::ALL.into_iter().map(|program| of_program(program, text)).find(|found| found.entry.is_some())
}

fn lookup(program: Program, text: &str) -> Recognised<'_> {
    let unknown = Recognised::unknown(program, Values::default());
    match catalogue::catalogue(program).recognise(text.trim_start()) {
        Some((entry, values)) => Recognised { entry: Some(entry), values, ..unknown },
        None => unknown,
    }
}

/// Takes `anon log[func:file.c:12]: ` off: pptp-linux says where in its source it speaks.
fn without_source(text: &str) -> Option<&str> {
    let (source, message) = text.split_once("]: ")?;
    let (_, place) = source.split_once('[')?;
    let is_place = place.len() < 128 && place.rsplit_once(':')?.1.bytes().all(|byte| byte.is_ascii_digit());
    is_place.then_some(message)
}

/// Takes `word: ` off.
fn prefix(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(": ")?;
    let is_word = !word.is_empty() && word.len() <= 64 && !word.contains(' ');
    is_word.then_some((word, rest))
}

/// `ppp0: sid: text`, `ppp0:user: text`, `:: text`, `text`.
fn accel_ppp(text: &str) -> Recognised<'_> {
    let text = text.strip_prefix(":: ").unwrap_or(text);
    let found = lookup(Program::AccelPpp, text);
    if found.entry.is_some() {
        return found;
    }
    let Some((first, rest)) = prefix(text) else { return found };
    let interface = first.split(':').next().filter(|name| !name.is_empty());
    let found = Recognised { interface, ..lookup(Program::AccelPpp, rest) };
    if found.entry.is_some() {
        return found;
    }
    match prefix(rest) {
        Some((sid, inner)) if sid.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Recognised { interface, ..lookup(Program::AccelPpp, inner) }
        }
        _ => found,
    }
}

/// `(12) mschap: ERROR: text`.
fn freeradius(text: &str) -> Recognised<'_> {
    let program = Program::FreeRadius;
    let text = text.trim_start();
    let found = lookup(program, text);
    if found.entry.is_some() {
        return found;
    }
    // Without its stamp, a line begins with its type.
    let text = ["Auth: ", "Info: ", "Error: ", "Warning: ", "Proxy: ", "Acct: ", "Debug: "]
        .into_iter()
        .find_map(|kind| text.strip_prefix(kind))
        .unwrap_or(text);
    let found = lookup(program, text);
    if found.entry.is_some() {
        return found;
    }
    let (request, text) = request(text).map_or((None, text), |(number, rest)| (Some(number), rest));
    let without_rating = |text: &'_ str| -> Option<usize> {
        ["ERROR: ", "WARNING: "].into_iter().find(|rating| text.starts_with(rating)).map(str::len)
    };
    let text = text.get(without_rating(text).unwrap_or(0)..).unwrap_or_default();
    let found = Recognised { request, ..lookup(program, text) };
    if found.entry.is_some() {
        return found;
    }
    let Some((module, rest)) = prefix(text) else { return found };
    let rest = rest.get(without_rating(rest).unwrap_or(0)..).unwrap_or_default();
    Recognised { request, module: Some(module), ..lookup(program, rest) }
}

/// Takes `(12) ` and the blanks behind it off.
fn request(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.strip_prefix('(')?.split_once(')')?;
    Some((number.parse().ok()?, rest.strip_prefix(' ')?.trim_start()))
}

/// `[   12.345678] module: text`.
fn kernel(text: &str) -> Recognised<'_> {
    let text = match text.strip_prefix('[').and_then(|inside| inside.split_once("] ")) {
        Some((stamp, rest))
            if stamp.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' ')) =>
        {
            rest
        }
        _ => text,
    };
    let found = lookup(Program::Kernel, text);
    if found.entry.is_some() {
        return found;
    }
    match prefix(text) {
        Some((module, rest)) => Recognised { module: Some(module), ..lookup(Program::Kernel, rest) },
        None => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(program: Program, text: &str) -> Option<&'static str> {
        of_program(program, text).entry.map(|entry| entry.id.as_ref())
    }

    #[test]
    fn what_stands_in_front_is_taken_off() {
        let pptp = "nm-pptp-service-8799 log[ctrlp_disp:pptp_ctrl.c:858]: Received Outgoing Call Reply.";
        assert_eq!(id(Program::Pptp, pptp), Some("pptp.received_outgoing_call_reply"));
        let accel = of_program(Program::AccelPpp, "ppp0: da66f165863ab669: disconnected");
        assert_eq!((accel.entry.is_some(), accel.interface), (true, Some("ppp0")));
        assert_eq!(
            id(Program::AccelPpp, "ppp0:anna: pptp: no echo reply"),
            Some("accel-ppp.pptp_no_echo_reply")
        );
        let radius = of_program(Program::FreeRadius, "(3) mschap: ERROR: MS-CHAP2-Response is incorrect");
        assert_eq!((radius.request, radius.module), (Some(3), Some("mschap")));
        assert!(radius.entry.is_some());
        assert!(id(Program::Kernel, "[  12.5] gre: GRE over IPv4 demultiplexor driver").is_some());
    }

    #[test]
    fn a_line_of_nobody_finds_its_program() {
        let found = of_anybody("    GRE: xmit failed from decaps_hdlc: Operation not permitted").unwrap();
        assert_eq!(
            (found.program, found.values.as_slice()),
            (Program::Pptpd, &["Operation not permitted"][..])
        );
        assert!(of_anybody("Accepted publickey for root").is_none());
    }
}
