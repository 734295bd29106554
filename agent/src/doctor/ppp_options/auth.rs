//! Authentication and encryption as the options demand them.

use super::{Effective, Option, begin};
use crate::doctor::facts::Facts;
use crate::doctor::report::{Check, Status};

const MPPE: [&str; 6] =
    ["require-mppe", "require-mppe-128", "require-mppe-40", "+mppe", "+mppe-128", "+mppe-40"];
const MSCHAP2: [&str; 2] = ["require-mschap-v2", "+mschap-v2"];
const MSCHAP1: [&str; 2] = ["require-mschap", "+mschap"];
const PAP: [&str; 2] = ["require-pap", "+pap"];
const CHAP: [&str; 2] = ["require-chap", "+chap"];
const EAP: [&str; 1] = ["require-eap"];

/// Whether what is demanded can be had together, and is worth something.
pub(in crate::doctor) fn check(facts: &Facts) -> Check {
    let why = "MPPE's keys come from MS-CHAP: a server that demands encryption without it ends every call with \
               \"MPPE required, but MS-CHAP[v2] auth not performed\".";
    let mut check = match begin(facts, "ppp.auth", why) {
        Ok(check) => check,
        Err(check) => return check,
    };
    check.problems.clear();
    check.status = Status::Ok;
    let options = Effective::of(&facts.ppp_options);
    let last =
        |names: &[&str]| facts.ppp_options.iter().rposition(|option| names.contains(&option.name.as_str()));
    let place = |option: std::option::Option<&Option>| option.map(Option::place).unwrap_or_default();
    let mppe = options.any(&MPPE).filter(|_| last(&MPPE) > last(&["nomppe", "-mppe"]));
    let (v2, v1, pap, chap) =
        (options.any(&MSCHAP2), options.any(&MSCHAP1), options.any(&PAP), options.any(&CHAP));
    let eap = options.any(&EAP);
    let noauth = options.get("noauth").filter(|_| last(&["noauth"]) > last(&["auth"]));
    let any_auth = v2.or(v1).or(pap).or(chap).or(eap);
    for (option, what) in [(mppe, "MPPE"), (any_auth, "authentication")] {
        match option {
            Some(option) => check.saw(format!("{what}: {} ({})", option.name, option.place())),
            None => check.saw(format!("{what}: nothing is demanded")),
        }
    }
    let fix = "require-mschap-v2";
    if let Some(mppe) = mppe {
        if let Some(noauth) = noauth.filter(|_| any_auth.is_none()) {
            let what = format!("noauth together with {}: without MS-CHAP there is no key", mppe.name);
            check.at(Status::Fail, noauth.place(), what, fix);
        } else if v2.or(v1).or(eap).is_none() {
            match pap.or(chap) {
                Some(other) => check.at(
                    Status::Fail,
                    other.place(),
                    format!("{} gives no key for {}", other.name, mppe.name),
                    fix,
                ),
                None => check.at(
                    Status::Warn,
                    mppe.place(),
                    format!("{} without require-mschap-v2: a client that chooses PAP or CHAP gets in and is refused later", mppe.name),
                    fix,
                ),
            }
        }
        if let Some(noccp) = options.any(&["noccp", "-ccp"]) {
            let what = format!("{} forbids CCP, by which {} is negotiated", noccp.name, mppe.name);
            check.at(Status::Fail, noccp.place(), what, format!("delete {}", noccp.name));
        }
        let no_128 = options.any(&["nomppe-128", "-mppe-128"]);
        let no_40 = options.any(&["nomppe-40", "-mppe-40"]);
        if let (Some(no_128), Some(_)) = (no_128, no_40) {
            let what = "both 40 and 128 bits are forbidden, and MPPE is demanded";
            check.at(Status::Fail, no_128.place(), what, format!("delete {}", no_128.name));
        }
        if options.any(&["require-mppe-40", "+mppe-40"]).is_some()
            && options.any(&["require-mppe-128", "+mppe-128"]).is_none()
        {
            check.at(Status::Warn, mppe.place(), "40-bit keys are broken in minutes", "require-mppe-128");
        }
        if let Some(stateful) = options.get("mppe-stateful") {
            let what = "stateful MPPE: after each lost packet the call stands still until both ends have agreed anew";
            check.at(Status::Warn, stateful.place(), what, "delete mppe-stateful");
        }
    } else if noauth.is_none() {
        let at = any_auth.or(facts.ppp_options.last());
        check.at(
            Status::Warn,
            place(at),
            "no require-mppe-128: a client may send everything in clear",
            "require-mppe-128",
        );
    }
    for weak in [pap, chap, v1].into_iter().flatten() {
        let what = format!("{} lets clients in by a protocol that gives the password away", weak.name);
        check.at(Status::Warn, weak.place(), what, format!("delete {}; keep require-mschap-v2", weak.name));
    }
    if any_auth.is_none() && mppe.is_none() {
        match noauth {
            Some(noauth) => {
                let what = "noauth: anybody who reaches port 1723 gets into this network";
                check.at(Status::Warn, noauth.place(), what, "delete noauth; require-mschap-v2");
            }
            None => check.at(
                Status::Warn,
                place(facts.ppp_options.last()),
                "no authentication protocol is demanded: the client chooses, PAP and EAP included",
                fix,
            ),
        }
    }
    if let Some(route) = options.get("defaultroute") {
        let what = "defaultroute: the first call takes this host's default route away";
        check.at(Status::Warn, route.place(), what, "nodefaultroute");
    }
    check
}
