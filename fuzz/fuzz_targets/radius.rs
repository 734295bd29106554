//! Any bytes as a RADIUS packet: no panic, and what was read survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pptpscope::wire::radius::Packet;
use pptpscope::wire::radius::authenticator::{Authenticator, check_answer, check_request};

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::decode(data) else { return };
    let text = serde_json::to_string(&packet).expect("packets have a serialised form");
    assert_eq!(serde_json::from_str::<Packet>(&text).expect("their own"), packet);
    let authenticator = Authenticator::of(data).expect("a whole header");
    check_answer(data, authenticator, b"secret").expect("the same lengths");
    check_request(data, b"secret").expect("the same lengths");
});
