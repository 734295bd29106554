//! Any bytes as an IPv4 packet: TCP or GRE with PPP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pptpscope::source::packet::decode;

fuzz_target!(|data: &[u8]| {
    let _ = decode(bytes::Bytes::copy_from_slice(data));
});
