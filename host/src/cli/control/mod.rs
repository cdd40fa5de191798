//! The control socket, `control.sock` in the data directory: commands beside a running pipeline. The owner of the directory
//! listens (`server.rs`, a session each: `connection.rs`); every other `tidemill` sends its command there (`client.rs`).
//!
//! ```text
//! client                                  owner
//!   Request (JSON: request.rs)    ->        checks protocol and version, or says Talk + Exit
//!                                 <-        Accepted: from now on the command may have had effects
//!   Input* InputEnd (append only) ->        the command's stdin
//!                                 <-        Data*, Talk*: the command's stdout and stderr, as they come
//!                                 <-        Exit: one byte, the exit code; the connection ends
//! ```
//!
//! 1. There is one implementation per command: the owner runs the same code, over its open store, with other ends.
//! 2. The owner is never hurt: frames, connections and what waits in between are bounded, a command that does not take
//!    its input or a client that does not read holds up itself only, and a wrong request ends its connection.
//! 3. A client that ends its half of the connection asks for the end of an endless command; one that is gone likewise.
//! 4. Who may connect: the socket's owner (mode 0600, set before the socket has its name).

pub(crate) mod address;
pub(crate) mod client;
mod connection;
mod ends;
mod frame;
mod request;
pub(crate) mod server;
