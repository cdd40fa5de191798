//! The `tidemill` command: hands the command line to `cli` and its outcome to the shell.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
