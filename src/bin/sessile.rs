//! The command `sessile`: see `sessile --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sessile::command::main()
}
