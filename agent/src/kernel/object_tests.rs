//! The compiled programs, instruction by instruction: nothing that Linux 5.10 does not have.
//!
//! Encoding: linux/bpf.h and RFC 9669. The verifier of the running kernel cannot tell, it knows
//! everything newer as well.

use std::collections::BTreeSet;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

use super::{OBJECT, TC_BARE, TC_ETHERNET, TC_INNER, TC_LOOPBACK, XDP};

/// Helpers that Linux 5.10 has, and why we call them (enum bpf_func_id).
const HELPERS: [(i32, &str); 9] = [
    (1, "map_lookup_elem"),
    (2, "map_update_elem"),
    (5, "ktime_get_ns"),
    (26, "skb_load_bytes"),
    (113, "probe_read_kernel: the path tier"),
    (118, "jiffies64: the clock of the data path, since 5.6"),
    (130, "ringbuf_output"),
    (131, "ringbuf_reserve: aya-log"),
    (132, "ringbuf_submit: aya-log"),
];
/// Also of aya-log, when a record does not fit its slot.
const RINGBUF_DISCARD: i32 = 133;

struct Instruction {
    opcode: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

/// Every instruction of the object; the second half of a 64-bit load is left out.
fn instructions() -> Vec<Instruction> {
    let file = object::File::parse(OBJECT).unwrap();
    let mut all = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let data = section.data().unwrap();
        let mut slots = data.chunks_exact(8);
        while let Some(slot) = slots.next() {
            all.push(Instruction {
                opcode: slot[0],
                source: slot[1] >> 4,
                offset: i16::from_le_bytes([slot[2], slot[3]]),
                immediate: i32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]]),
            });
            if slot[0] == 0x18 {
                slots.next();
            }
        }
    }
    assert!(all.len() > 500, "that is not all of it: {}", all.len());
    all
}

#[test]
fn atomic_operations_are_plain_additions() {
    let atomics: Vec<_> =
        instructions().into_iter().filter(|insn| matches!(insn.opcode, 0xc3 | 0xdb)).collect();
    assert!(!atomics.is_empty());
    for atomic in atomics {
        // Zero is BPF_ADD without BPF_FETCH: what was BPF_XADD before 5.12.
        assert_eq!((atomic.opcode, atomic.immediate), (0xdb, 0));
    }
}

#[test]
fn only_old_helpers_are_called() {
    // A source of 1 is a call of one of our own functions, 2 would be a kernel function (5.13).
    let calls: Vec<_> = instructions().into_iter().filter(|insn| insn.opcode == 0x85).collect();
    let helpers: BTreeSet<_> =
        calls.iter().filter(|call| call.source == 0).map(|call| call.immediate).collect();
    let allowed = HELPERS.iter().map(|(number, _)| *number).chain([RINGBUF_DISCARD]).collect();
    assert!(helpers.is_subset(&allowed), "{helpers:?}");
    assert!(helpers.contains(&1) && helpers.contains(&130));
    assert!(calls.iter().all(|call| call.source <= 1));
}

#[test]
fn no_instruction_is_newer_than_version_3() {
    for insn in instructions() {
        let Instruction { opcode, offset, .. } = insn;
        let (class, mode) = (opcode & 0x07, opcode & 0xe0);
        // Version 4 (6.6): sign-extending moves, signed division, sign-extending loads, byte swaps
        // without condition, long jumps, load-acquire. All are old opcodes with new modifiers.
        let is_arithmetic = matches!(class, 4 | 7);
        assert!(!is_arithmetic || offset == 0, "opcode {opcode:#x} with offset {offset}");
        assert!(class != 1 || mode == 0x60, "load {opcode:#x}");
        assert_ne!(opcode, 0xd7, "unconditional byte swap");
        assert_ne!(opcode, 0x06, "long jump");
        assert_ne!(opcode, 0xe5, "may_goto");
    }
}

#[test]
fn names_fit_the_kernel() {
    // BPF_OBJ_NAME_LEN is 16 with the final zero; we find our own leftovers by them.
    let file = object::File::parse(OBJECT).unwrap();
    let symbols: BTreeSet<_> =
        file.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect();
    for name in TC_ETHERNET.into_iter().chain(TC_BARE).chain(TC_INNER).chain([TC_LOOPBACK, XDP]) {
        assert!(name.len() < 16 && symbols.contains(name), "{name}");
    }
}
