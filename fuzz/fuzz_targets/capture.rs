//! Any bytes as a capture, through reader, counter and correlator to the account of each call.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use pptpscope::analysis::{self, Options};
use pptpscope::sink::account::Account;
use pptpscope::source::capture::{Captures, Input};

fuzz_target!(|data: &[u8]| {
    let mut captures = Captures::default();
    captures.add("fuzz".into(), Ok(Input::new(Cursor::new(data.to_vec()), None).expect("memory")));
    let mut account = Account::new(false);
    let options = Options { max_sessions: 16, ..Options::default() };
    let told = analysis::run(&mut captures, &options, || {}, |event| {
        serde_json::to_writer(std::io::sink(), event)?;
        account.event(event, &mut std::io::sink())
    });
    told.expect("nothing fails to be written to nowhere");
});
