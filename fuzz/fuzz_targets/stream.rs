//! Any segments as a control connection. Each is a number, a flag for SYN, a length, and bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pptpscope::wire::stream::Assembler;

fuzz_target!(|data: &[u8]| {
    let mut assembler = Assembler::default();
    let mut sequence = 0u32;
    let mut rest = data;
    while let Some((&[step, kind, length], after)) = rest.split_first_chunk::<3>() {
        let (payload, after) = after.split_at(usize::from(length).min(after.len()));
        sequence = sequence.wrapping_add_signed(i32::from(step.cast_signed()));
        match kind % 8 {
            0 => drop(assembler.acknowledged(sequence)),
            1 => drop(assembler.finish()),
            2 => drop(assembler.segment(sequence, true, payload)),
            _ => drop(assembler.segment(sequence, false, payload)),
        }
        sequence = sequence.wrapping_add(payload.len() as u32);
        rest = after;
    }
});
