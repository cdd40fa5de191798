//! The client of the control socket: sends a command to the process that owns the data directory and copies out what it
//! prints. `data.rs` tries it before it opens a store of its own.

use super::address::{Address, SOCKET_FILE};
use super::frame::{Frame, FrameKind, PAYLOAD_MAX};
use super::request::Request;
use crate::cli::args::DataCommand;
use crate::cli::interrupt;
use crate::cli::output::Output;
use anyhow::{Context, Result, bail};
use std::io::{self, BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Who did the command.
pub(crate) enum Reached {
    /// The owner, with this exit code.
    Owner(u8),
    /// Nobody answers: nothing was done.
    Nobody,
}

/// Has a command done by the owner of its data directory, if there is one.
pub(crate) fn forward(command: &DataCommand, output: &Output) -> Result<Reached> {
    let data_dir = command.data_dir();
    let Some(stream) = connect(data_dir)? else { return Ok(Reached::Nobody) };
    let request = Request::new(command.clone(), output.json(), output.stdout_is_terminal());
    let request = serde_json::to_vec(&request).context("cannot write the request")?;
    if request.len() > PAYLOAD_MAX {
        bail!("the command's arguments are longer than the {PAYLOAD_MAX} bytes that the control socket takes");
    }
    if Frame::new(FrameKind::Request, &request).write(&mut &stream).is_err() {
        return Ok(Reached::Nobody); // it ended just now
    }
    let mut from = BufReader::with_capacity(PAYLOAD_MAX, &stream);
    match Frame::read(&mut from) {
        Ok(Some(frame)) if frame.kind == FrameKind::Accepted => {}
        Ok(Some(frame)) => return follow(Some(frame), &mut from, output, data_dir).map(Reached::Owner),
        Ok(None) | Err(_) => return Ok(Reached::Nobody), // the owner ends before it takes anything
    }
    if command.reads_input() {
        let stream = stream.try_clone().context("cannot use the control socket")?;
        std::thread::spawn(move || send_input(&stream));
    }
    if command.is_endless() {
        let stream = stream.try_clone().context("cannot use the control socket")?;
        interrupt::on_signal(move || drop(stream.shutdown(Shutdown::Write)))?;
    }
    follow(None, &mut from, output, data_dir).map(Reached::Owner)
}

fn connect(data_dir: &Path) -> Result<Option<UnixStream>> {
    let connected = Address::new(data_dir, SOCKET_FILE).and_then(|address| UnixStream::connect(address.path()));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // Refused: whoever listened there was killed.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => Ok(None),
            io::ErrorKind::PermissionDenied => bail!(
                "data directory {} is in use by another user's process, whose {SOCKET_FILE} is closed to you: run this as that user",
                data_dir.display()
            ),
            _ => Ok(None), // opening the store will tell
        },
    }
}

/// Copies stdin. An owner that has seen enough closes the connection, and the process ends with its answer.
fn send_input(mut stream: &UnixStream) {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; PAYLOAD_MAX];
    loop {
        let frame = match input.read(&mut buffer) {
            Ok(0) => Frame::new(FrameKind::InputEnd, &[]),
            Ok(length) => Frame::new(FrameKind::Input, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => {
                // Without its end, what was sent is not taken for the whole.
                let _ = stream.shutdown(Shutdown::Write);
                return;
            }
        };
        if frame.write(&mut stream).is_err() || frame.kind == FrameKind::InputEnd {
            return;
        }
    }
}

/// Copies out what the owner says until it gives the exit code.
fn follow(first: Option<Frame>, from: &mut impl Read, output: &Output, data_dir: &Path) -> Result<u8> {
    let mut out = output.stdout();
    let mut next = first;
    loop {
        let frame = match next.take() {
            Some(frame) => Some(frame),
            None => Frame::read(from).unwrap_or(None),
        };
        match frame {
            Some(Frame { kind: FrameKind::Data, payload }) => {
                out.write(&payload)?;
                out.flush()?; // the owner buffers
            }
            Some(Frame { kind: FrameKind::Talk, payload }) => output.say(&String::from_utf8_lossy(&payload)),
            Some(Frame { kind: FrameKind::Exit, payload }) => return Ok(payload.first().copied().unwrap_or(1)),
            Some(_) => bail!("the process that owns {} says what this one does not understand", data_dir.display()),
            None => bail!(
                "the process that owns {} ended before the command was done; look what is there, then repeat the command",
                data_dir.display()
            ),
        }
    }
}
