//! Any bytes as a PPP frame: no panic, and what was read survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pptpscope::wire::ppp::Frame;

fuzz_target!(|data: &[u8]| {
    let Some((missing, bytes)) = data.split_first() else { return };
    if let Ok(frame) = Frame::decode(bytes::Bytes::copy_from_slice(bytes), usize::from(*missing)) {
        let text = serde_json::to_string(&frame).expect("frames have a serialised form");
        assert_eq!(serde_json::from_str::<Frame>(&text).expect("their own"), frame);
    }
});
