//! What RADIUS packets show.

use super::times;
use crate::finding::dossier::Dossier;
use crate::finding::fact::Reading;

/// An answer that takes longer is felt by who logs in; the client of the VPN repeats its response after
/// 3 s.
const SLOW_NS: u64 = 2_000_000_000;

facts! { Dossier;
    SILENT: Radius, "a request to the RADIUS server gets no answer" => |call| {
        let radius = &call.told.radius;
        let is_so = radius.silent.any() && !radius.answered.any();
        Reading::of(is_so.then(|| (radius.silent.first, radius.silent_words.clone())))
    };
    FORGED: Radius, "answers of the RADIUS server are made with another secret" => |call| {
        let tally = &call.told.radius.forged;
        Reading::of(tally.since().map(|at| (at, times(tally, "answer"))))
    };
    IGNORED: Radius, "the RADIUS client repeats its request although the answer has come" => |call| {
        let tally = &call.told.radius.ignored;
        Reading::of(tally.since().map(|at| (at, times(tally, "repetition"))))
    };
    SLOW: Radius, "the RADIUS server takes long to answer" => |call| {
        let slowest = call.told.radius.slowest.filter(|(_, latency)| *latency >= SLOW_NS);
        Reading::of(slowest.map(|(at, latency)| (at, format!("{:.1} s", latency as f64 / 1e9))))
    };
    REJECTED: Radius, "the RADIUS server answers Access-Reject" => |call| {
        Reading::of(call.told.radius.rejected.clone())
    };
    NO_KEYS: Radius, "the RADIUS server grants access without keys for MPPE" => |call| {
        Reading::flag(call.told.radius.no_keys.is_some(), call.told.radius.no_keys)
    };
}
