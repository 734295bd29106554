//! `pptpscope`: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pptpscope::cli::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pptpscope: {error:#}");
            ExitCode::FAILURE
        }
    }
}
