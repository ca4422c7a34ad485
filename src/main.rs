//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel::cli::main(std::env::args_os()).into()
}
