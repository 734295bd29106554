use super::tests::{end, event, start, stats, value};
use super::*;
use crate::event::echo::{Echo, EchoStats};
use crate::event::gre::{Counters, GreStats, RoundTrips};
use crate::event::mtu::MssViolation;
use crate::event::session::{self, End};
use crate::event::{Body, Party};

fn trips(id: u128, from_server: RoundTrips) -> Event {
    let gre_stats = GreStats {
        from_client: Counters::default(),
        from_server: Counters { ack_rtt: Some(from_server), ..Counters::default() },
        is_final: false,
    };
    event(id, Body::GreStats { gre_stats })
}

#[test]
fn round_trips_are_counted_once_and_in_the_buckets_of_the_kernel() {
    let metrics = Metrics::new().unwrap();
    // What the kernel makes of samples just below and at the bounds of its buckets.
    let mut counted = pptpscope_common::RoundTrips::default();
    let report = |counted: &pptpscope_common::RoundTrips| RoundTrips::of(counted).unwrap();
    metrics.observe(&start(1));
    for ns in [1, (1 << 14) - 1, 1 << 14, (1 << 20) - 1] {
        counted.record(ns);
    }
    metrics.observe(&trips(1, report(&counted)));
    for ns in [1 << 20, (1 << 31) - 1, 1 << 31, 3_500_000_000] {
        counted.record(ns);
    }
    metrics.observe(&trips(1, report(&counted)));
    metrics.observe(&trips(1, report(&counted)));
    // Another call adds to it.
    metrics.observe(&start(2));
    metrics.observe(&trips(2, RoundTrips { samples: 1, sum_ns: 1_000_000_000, ..RoundTrips::default() }));

    let name = "pptpscope_gre_ack_round_trip_seconds";
    let below =
        |le: &str| value(&metrics, &format!("{name}_bucket{{direction=\"from_server\",le=\"{le}\"}}"));
    assert_eq!(below("0.000016383"), Some(2.0), "the upper bound belongs to a bucket");
    assert_eq!(below("0.000032767"), Some(3.0));
    assert_eq!(below("0.001048575"), Some(4.0));
    assert_eq!(below("0.002097151"), Some(5.0));
    assert_eq!(below("2.147483647"), Some(6.0));
    assert_eq!(below("+Inf"), Some(7.0));
    let of = |what: &str, direction: &str| value(&metrics, &format!("{what}{{direction=\"{direction}\"}}"));
    assert_eq!(of(&format!("{name}_count"), "from_server"), Some(7.0));
    assert_eq!(of(&format!("{name}_count"), "from_client"), Some(0.0));
    let sum = (counted.sum_ns + 1_000_000_000) as f64 / 1e9;
    assert_eq!(of(&format!("{name}_sum"), "from_server"), Some(sum));
    assert_eq!(of("pptpscope_gre_ack_timeouts_total", "from_server"), Some(1.0));
    assert_eq!(metrics.text().unwrap().matches(&format!("{name}_bucket")).count(), 2 * 19);
}

#[test]
fn a_call_that_is_over_tells_its_shares_of_packets() {
    let metrics = Metrics::new().unwrap();
    let end = |id, from_client| {
        let bare = End::bare(session::Cause::CallClearRequest, Phase::Up, true, 1);
        let session_end = End { from_client: Some(from_client), ..bare };
        event(id, Body::SessionEnd { session_end })
    };
    let bad =
        Counters { received: 980, lost: 15, missing: 5, reordered: 98, duplicate: 20, ..Counters::default() };
    let good = Counters { received: 10, ..Counters::default() };
    for (id, counters) in [(1, bad), (2, good), (3, Counters::default())] {
        metrics.observe(&start(id));
        metrics.observe(&end(id, counters));
    }
    let of = |what: &str, part: &str, labels: &str| {
        value(&metrics, &format!("pptpscope_call_{what}_ratio{part}{{direction=\"from_client\"{labels}}}"))
    };
    for (what, sum, below, above) in [
        ("lost", 0.02, "0.01", "0.03"),
        ("reordered", 0.1, "0.03", "0.1"),
        ("duplicate", 0.02, "0.01", "0.03"),
    ] {
        assert_eq!(of(what, "_count", ""), Some(2.0), "{what}: one has no sequence numbers");
        assert_eq!(of(what, "_sum", ""), Some(sum), "{what}");
        assert_eq!(of(what, "_bucket", ",le=\"0\""), Some(1.0), "{what}");
        assert_eq!(of(what, "_bucket", &format!(",le=\"{below}\"")), Some(1.0), "{what}");
        assert_eq!(of(what, "_bucket", &format!(",le=\"{above}\"")), Some(2.0), "{what}");
    }
}

#[test]
fn segments_that_do_not_fit_add_up_by_their_sender() {
    let metrics = Metrics::new().unwrap();
    for (sender, segments, total) in [(Party::Client, 2, 2), (Party::Client, 3, 5), (Party::Server, 7, 7)] {
        let mtu_mss_violation = MssViolation { sender, segments, total, mss_bytes: 1460, mtu_bytes: 1396 };
        metrics.observe(&event(1, Body::MtuMssViolation { mtu_mss_violation }));
    }
    assert_eq!(value(&metrics, "pptpscope_mss_violations_total{sender=\"client\"}"), Some(5.0));
    assert_eq!(value(&metrics, "pptpscope_mss_violations_total{sender=\"server\"}"), Some(7.0));
}

#[test]
fn a_call_that_is_over_tells_its_mean_echo() {
    let metrics = Metrics::new().unwrap();
    let stats = |ns| Some(EchoStats { sent: 3, answered: 3, rtt_avg_ns: ns, ..EchoStats::default() });
    let session_end = End {
        control_echo: Some(Box::new(Echo { from_client: stats(Some(700_000)), from_server: stats(None) })),
        lcp_echo: Some(Box::new(Echo { from_client: None, from_server: stats(Some(40_000_000)) })),
        ..End::bare(session::Cause::CallClearRequest, Phase::Up, true, 1)
    };
    metrics.observe(&start(1));
    metrics.observe(&event(1, Body::SessionEnd { session_end }));
    let of = |part: &str, protocol: &str, sender: &str| {
        let labels = format!("protocol=\"{protocol}\",sender=\"{sender}\"");
        value(&metrics, &format!("pptpscope_call_echo_round_trip_seconds_{part}{{{labels}}}"))
    };
    assert_eq!((of("count", "pptp", "client"), of("sum", "pptp", "client")), (Some(1.0), Some(0.0007)));
    assert_eq!((of("count", "lcp", "server"), of("sum", "lcp", "server")), (Some(1.0), Some(0.04)));
    assert_eq!((of("count", "pptp", "server"), of("count", "lcp", "client")), (None, None));
}

#[test]
fn addresses_of_clients_are_counted_once_until_the_end() {
    let metrics = Metrics::new().unwrap();
    let up = |id, last: Option<u8>| {
        let session_up = session::Up {
            user: None,
            auth_protocol: None,
            interface: None,
            server_address: None,
            client_address: last.map(|last| [10, 0, 0, last].into()),
            mppe: None,
            client_peer: None,
            server_peer: None,
            phases: Vec::new(),
            setup_ns: 1,
            processes: Vec::new(),
        };
        event(id, Body::SessionUp { session_up })
    };
    let used = || value(&metrics, "pptpscope_pool_addresses");
    assert_eq!(used(), Some(0.0));
    for (id, last) in [(1, Some(1)), (2, Some(2)), (3, Some(2)), (4, None)] {
        metrics.observe(&start(id));
        metrics.observe(&up(id, last));
    }
    assert_eq!(used(), Some(2.0), "two calls have the same one");
    // Negotiated anew: another address.
    metrics.observe(&up(1, Some(7)));
    assert_eq!(used(), Some(2.0));
    metrics.observe(&end(3, 1));
    assert_eq!(used(), Some(2.0));
    for id in [1, 2, 2] {
        metrics.observe(&end(id, 1));
    }
    assert_eq!(used(), Some(0.0));
    metrics.observe(&stats(4, 1, 0, 0));
}
