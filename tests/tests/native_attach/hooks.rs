//! Which hook is taken, next to whom, and what is left behind.

use std::mem::ManuallyDrop;

use aya::programs::{SchedClassifier, TcAttachType};
use pptpscope::kernel::{AttachError, Config, Ingress, IngressMode, Kernel, TcMechanism, TcMode};

use crate::native::frame::{Ip, Tcp, ethernet};
use crate::native::{Bench, PEER, Path, WATCHED, Wire, data, device, echo, in_namespace, run, runtime};
use crate::{clsact, default_mechanism, has_tcx, with_runtime};

/// A filter of somebody else: classic BPF that matches every packet, which ends the search.
const ACCEPT_ALL: &str = "bpf bytecode 1,6_0_0_4294967295, flowid 1:1";

#[test]
fn auto_takes_xdp_where_the_driver_has_it() {
    in_namespace("auto_takes_xdp_where_the_driver_has_it", || {
        with_runtime(|| {
            let mut kernel = Kernel::load(&Config::default()).unwrap();
            let attachment = kernel.attach(&device(WATCHED), IngressMode::Auto).unwrap();
            assert_eq!((attachment.ingress, attachment.tc), (Ingress::Xdp, default_mechanism()));
            assert_eq!(attachment.note, None);
            assert!(matches!(
                kernel.attach(&device(WATCHED), IngressMode::Auto),
                Err(AttachError::Already { name }) if name == WATCHED
            ));

            // The loopback driver has no XDP.
            let attachment = kernel.attach(&device("lo"), IngressMode::Auto).unwrap();
            assert_eq!(attachment.ingress, Ingress::Tc);
            assert!(attachment.note.unwrap().contains("no native XDP"));
            assert_eq!(kernel.attached().count(), 2);
            assert!(run("ip", "-d link show dev w0").unwrap().contains("xdp"));

            let index = device(WATCHED).index;
            assert!(kernel.detach(index));
            assert!(!kernel.detach(index));
            assert!(!run("ip", "-d link show dev w0").unwrap().contains("xdp"));
            kernel.attach(&device(WATCHED), IngressMode::Xdp).unwrap();
        });
    });
}

#[test]
fn a_refused_xdp_is_explained() {
    in_namespace("a_refused_xdp_is_explained", || {
        with_runtime(|| {
            let mut first = Kernel::load(&Config::default()).unwrap();
            first.attach(&device(WATCHED), IngressMode::Xdp).unwrap();
            // Its second instance stands for any other XDP program.
            let mut second = Kernel::load(&Config::default()).unwrap();
            let error = second.attach(&device(WATCHED), IngressMode::Xdp).unwrap_err();
            assert!(
                matches!(&error, AttachError::Xdp { reason, .. } if reason.contains("another")),
                "{error}"
            );
            assert!(error.to_string().contains("w0"));
            // Nothing was left of the failed attempt.
            let attachment = second.attach(&device(WATCHED), IngressMode::Auto).unwrap();
            assert_eq!(attachment.ingress, Ingress::Tc);
            assert!(attachment.note.unwrap().contains("another"));

            let error = second.attach(&device("lo"), IngressMode::Xdp).unwrap_err();
            assert!(error.to_string().contains("no native XDP"), "{error}");
        });
    });
}

/// What of ours hangs on the watched device at clsact.
fn filters() -> usize {
    let show = |hook| run("tc", &format!("filter show dev w0 {hook}")).unwrap_or_default();
    ["ingress", "egress"].map(|hook| show(hook).matches("pptpscope_").count()).into_iter().sum()
}

fn qdiscs() -> String {
    run("tc", "qdisc show dev w0").unwrap()
}

#[test]
fn clsact_is_tidied_up() {
    in_namespace("clsact_is_tidied_up", || {
        with_runtime(|| {
            let mut kernel = Kernel::load(&clsact()).unwrap();
            let attachment = kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            assert_eq!((attachment.ingress, attachment.tc), (Ingress::Tc, TcMechanism::Clsact));
            assert!(filters() >= 2 && qdiscs().contains("clsact"));
            kernel.detach(device(WATCHED).index);
            assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());

            // Dropping does the same.
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            drop(kernel);
            assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());
        });
    });
}

#[test]
fn clsact_of_others_stays() {
    in_namespace("clsact_of_others_stays", || {
        with_runtime(|| {
            // The discipline was there.
            run("tc", "qdisc add dev w0 clsact").unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            kernel.detach(device(WATCHED).index);
            assert!(qdiscs().contains("clsact"));
            run("tc", "qdisc del dev w0 clsact").unwrap();

            // Ours, but somebody began to use it.
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            run("tc", &format!("filter add dev w0 ingress pref 7 {ACCEPT_ALL}")).unwrap();
            kernel.detach(device(WATCHED).index);
            assert_eq!(filters(), 0);
            assert!(run("tc", "filter show dev w0 ingress").unwrap().contains("pref 7"));
        });
    });
}

#[test]
fn leftovers_of_a_killed_agent_are_removed() {
    in_namespace("leftovers_of_a_killed_agent_are_removed", || {
        let killed = {
            let runtime = runtime();
            let _guard = runtime.enter();
            let mut kernel = ManuallyDrop::new(Kernel::load(&clsact()).unwrap());
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            kernel
        };
        let left = filters();
        assert!(left >= 2);
        let bench = Bench::with(Path::Ingress, &clsact());
        assert_eq!(filters(), left);
        bench.send(&data(1, 0, None).frame());
        assert_eq!(bench.flow(1).unwrap().packets, 1);
        assert_eq!(killed.flows().unwrap().len(), 0);
        drop(bench);
        // The discipline was the dead agent's, and so ours.
        assert!(filters() == 0 && !qdiscs().contains("clsact"), "{}", qdiscs());

        // Also when TCX is used now.
        let mut kernel = ManuallyDrop::new(Kernel::load(&clsact()).unwrap());
        with_runtime(|| {
            kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
        });
        let bench = Bench::new(Path::Egress);
        bench.send(&data(1, 0, None).frame());
        assert_eq!(bench.flow(1).unwrap().packets, 1);
        assert_eq!(kernel.flows().unwrap().len(), 0);
        drop(bench);
        assert!(!qdiscs().contains("clsact"), "{}", qdiscs());
    });
}

#[test]
fn clsact_counts_as_tcx_does() {
    for path in Path::ALL {
        in_namespace(&format!("clsact_counts_as_tcx_does ({path:?})"), move || {
            let mut bench = Bench::with(path, &clsact());
            assert_eq!(bench.attachment.tc, TcMechanism::Clsact);
            for number in 0..50 {
                bench.send(&data(1, number, Some(number)).frame());
            }
            bench.send(&echo(1, 50).frame());
            let flow = bench.flow(1).unwrap();
            assert_eq!((flow.packets, flow.acks, flow.sequence.received), (51, 50, 51));
            assert_eq!(bench.settled_records().len(), 1);
        });
    }
}

#[test]
fn both_directions_or_none() {
    in_namespace("both_directions_or_none", || {
        with_runtime(|| {
            // An ingress qdisc takes clsact's place. It has no egress side, but takes the filter.
            run("tc", "qdisc add dev w0 ingress").unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            for mode in [IngressMode::Xdp, IngressMode::Tc] {
                let error = kernel.attach(&device(WATCHED), mode).unwrap_err();
                assert!(
                    matches!(&error, AttachError::Tc { reason, .. } if reason.contains("ingress")),
                    "{error}"
                );
                assert_eq!((filters(), kernel.attached().count()), (0, 0));
                assert!(!run("ip", "-d link show dev w0").unwrap().contains("xdp"));
            }
            assert!(qdiscs().contains("ingress"));
        });
    });
}

#[test]
fn filters_that_accept_everything_hide_nothing() {
    for tc in [TcMode::Auto, TcMode::Clsact] {
        for path in [Path::Ingress, Path::Egress] {
            in_namespace(
                &format!("filters_that_accept_everything_hide_nothing ({tc:?}, {path:?})"),
                move || {
                    run("tc", "qdisc add dev w0 clsact").unwrap();
                    for hook in ["ingress", "egress"] {
                        run("tc", &format!("filter add dev w0 {hook} pref 7 {ACCEPT_ALL}")).unwrap();
                    }
                    let bench = Bench::with(path, &Config { tc, ..Config::default() });
                    bench.send(&data(1, 0, None).frame());
                    assert_eq!(bench.flow(1).unwrap().packets, 1);
                },
            );
        }
    }
}

#[test]
fn a_filter_that_cannot_be_preceded_is_reported() {
    in_namespace("a_filter_that_cannot_be_preceded_is_reported", || {
        with_runtime(|| {
            run("tc", "qdisc add dev lo clsact").unwrap();
            run("tc", &format!("filter add dev lo egress pref 1 protocol ip {ACCEPT_ALL}")).unwrap();
            let mut kernel = Kernel::load(&clsact()).unwrap();
            let note = kernel.attach(&device("lo"), IngressMode::Auto).unwrap().note.unwrap();
            assert!(note.contains("not XDP") && note.contains("first at TC egress"), "{note}");
            assert!(!note.contains("TC ingress"), "{note}");
        });
    });
}

#[test]
fn packets_pass_unchanged() {
    for path in Path::ALL {
        in_namespace(&format!("packets_pass_unchanged ({path:?})"), move || {
            let bench = Bench::new(path);
            // What came in at the other side of the programs: the watched end's own packet sockets
            // for ingress, the peer's for egress.
            let other_side = if path == Path::Egress { PEER } else { WATCHED };
            let listener = Wire::on(runtime().block_on(async { device(other_side) }).index);
            listener.receive_all();
            let frames = [
                data(1, 0, Some(1)).frame(),
                echo(1, 1).frame(),
                ethernet(0x0800, &Tcp::control(Tcp::SYN, &[]).datagram()),
                ethernet(0x0800, &Ip::new(17).build(&[1; 60])),
                ethernet(0x86dd, &[0x60; 60]),
            ];
            for frame in &frames {
                bench.send(frame);
            }
            bench.refusals();
            for frame in &frames {
                assert_eq!(&listener.receive(), frame);
            }
        });
    }
}

#[test]
fn tcx_puts_us_before_those_that_are_there() {
    in_namespace("tcx_puts_us_before_those_that_are_there", || {
        if !has_tcx() {
            eprintln!("SKIPPED tcx_puts_us_before_those_that_are_there: this kernel has no TCX (6.6)");
            return;
        }
        with_runtime(|| {
            // The first instance stands for a program that may accept or redirect.
            let mut kernels = [0, 1].map(|_| Kernel::load(&Config::default()).unwrap());
            for kernel in &mut kernels {
                kernel.attach(&device(WATCHED), IngressMode::Tc).unwrap();
            }
            for hook in [TcAttachType::Ingress, TcAttachType::Egress] {
                let (_, programs) = SchedClassifier::query_tcx(WATCHED, hook).unwrap();
                let loaded: Vec<_> = programs.iter().map(|program| program.id()).collect();
                assert!(loaded.len() == 2 && loaded[0] > loaded[1], "{hook:?}: {loaded:?}");
            }
        });
    });
}
