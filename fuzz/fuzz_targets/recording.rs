//! Any lines as a recording. Compressed here, so that the fuzzer need not learn gzip.
#![no_main]

use std::io::{Cursor, Write, sink};

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use pptpscope::replay::replay;
use pptpscope::source::recording::Recording;

fuzz_target!(|data: &[u8]| {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(data).expect("memory");
    let gzip = gzip.finish().expect("memory");
    if let Ok(mut recording) = Recording::open(Cursor::new(gzip)) {
        let _ = replay(&mut recording, &mut sink());
    }
});
