//! Sequence accounting of a million packets, by the program in the kernel and by the judge.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod native;

use std::time::Instant;

use native::{Bench, PEER, Path, data, device, in_namespace};
use pptpscope_tests::flood::Flood;
use pptpscope_tests::model::{Books, Model};

const PACKETS: usize = 1_000_000;

/// Where the sequence number is: Ethernet, IPv4, GRE up to it.
const SEQUENCE: usize = 14 + 20 + 8;

/// A stream as a bad network delivers it: in the order of arrival.
fn stream() -> Vec<u32> {
    // xorshift
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    // So that the number wraps in the middle.
    let mut next = 0u32.wrapping_sub(PACKETS as u32 / 2);
    // Packets on a detour: how many others overtake each.
    let mut detour: Vec<(u32, u64)> = Vec::new();
    let mut numbers = Vec::with_capacity(PACKETS);
    while numbers.len() < PACKETS {
        match random(1000) {
            // Lost, one or in a row, also more than the window at once.
            0..10 => next = next.wrapping_add(1),
            10 => next = next.wrapping_add(random(200) as u32),
            // Overtaken by a few, or by more than the window holds.
            11..30 => {
                detour.push((next, random(40)));
                next = next.wrapping_add(1);
            }
            30..33 => {
                detour.push((next, 60 + random(200)));
                next = next.wrapping_add(1);
            }
            // Twice: at once, within the window, beyond it.
            33..40 => {
                numbers.push(next);
                let overtaken = [0, random(60), random(300)][random(3) as usize];
                detour.push((next, overtaken));
                next = next.wrapping_add(1);
            }
            _ => {
                numbers.push(next);
                next = next.wrapping_add(1);
            }
        }
        detour.retain_mut(|(number, others)| {
            if *others == 0 {
                numbers.push(*number);
                return false;
            }
            *others -= 1;
            true
        });
    }
    numbers.truncate(PACKETS);
    numbers
}

#[test]
fn a_million_packets_are_accounted_for_as_the_model_does() {
    let numbers = stream();
    let mut model = Model::default();
    for number in &numbers {
        model.record(*number);
    }
    let expected = model.books();
    // Nothing that the accounting knows is left out.
    let Books { received, lost, reordered, late, duplicate, .. } = expected;
    assert!(received > 900_000 && lost > 5000 && reordered > 10_000 && late > 1000 && duplicate > 1000);
    assert!(
        numbers.iter().any(|number| *number < 1000) && numbers.iter().any(|number| *number > u32::MAX - 1000)
    );

    for path in Path::ALL {
        let numbers = numbers.clone();
        in_namespace(
            &format!("a_million_packets_are_accounted_for_as_the_model_does ({path:?})"),
            move || {
                let bench = Bench::new(path);
                let guard = bench.runtime.enter();
                let from = if path == Path::Egress { bench.index } else { device(PEER).index };
                drop(guard);
                let mut flood = Flood::new(from, &data(1, 0, None).frame(), false).unwrap();
                let start = Instant::now();
                flood
                    .send(numbers, |frame, number| {
                        frame[SEQUENCE..SEQUENCE + 4].copy_from_slice(&number.to_be_bytes());
                    })
                    .unwrap();
                let time = start.elapsed();
                let flow = bench.flow(1).unwrap();
                assert_eq!(flow.packets, PACKETS as u64, "packets were dropped on their way to the program");
                let sequence = flow.sequence;
                let counted = Books {
                    received: sequence.received,
                    lost: sequence.lost,
                    missing: sequence.missing().into(),
                    reordered: sequence.reordered,
                    late: sequence.late,
                    duplicate: sequence.duplicate,
                };
                assert_eq!(counted, expected);
                println!("{path:?}: {PACKETS} packets in {time:.1?}: {counted:?}");
            },
        );
    }
}
