//! The `tidemill` command: hands the command line to `cli` and its outcome to the shell.

mod cli;

/// Batches are allocated on one thread and freed on another, 128 KiB at a time: glibc gives such memory back and faults it in
/// again, which costs as much as decoding it (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
