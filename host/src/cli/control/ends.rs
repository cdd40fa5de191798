//! The ends of a command that a client sent: what it prints goes out as frames, its stdin comes in as frames. Commands use
//! them on their blocking threads, `connection.rs` moves the frames.

use super::frame::{Frame, FrameKind, PAYLOAD_MAX};
use crate::cli::output::Ends;
use std::io::{self, Read, Write};
use tokio::sync::mpsc::{Receiver, Sender};

/// Where a client's command prints. Waits while the client does not read.
pub(super) struct ClientEnds {
    pub(super) frames: Sender<Frame>,
    pub(super) terminal: bool,
}

impl Ends for ClientEnds {
    fn stdout(&self) -> Box<dyn Write + Send> {
        Box::new(ClientStdout { frames: self.frames.clone() })
    }

    fn say(&self, line: &str) {
        // A client that is gone hears nothing.
        let _ = self.frames.blocking_send(Frame::new(FrameKind::Talk, line.as_bytes()));
    }

    fn stdout_is_terminal(&self) -> bool {
        self.terminal
    }
}

struct ClientStdout {
    frames: Sender<Frame>,
}

impl Write for ClientStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PAYLOAD_MAX);
        let sent = self.frames.blocking_send(Frame::new(FrameKind::Data, &bytes[..taken]));
        sent.map(|()| taken).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A piece of a client's stdin.
pub(super) enum Piece {
    Bytes(Vec<u8>),
    End,
}

/// A client's stdin.
pub(super) struct ClientInput {
    pieces: Receiver<Piece>,
    at_hand: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl ClientInput {
    pub(super) fn new(pieces: Receiver<Piece>) -> ClientInput {
        ClientInput { pieces, at_hand: Vec::new(), taken: 0, ended: false }
    }
}

impl Read for ClientInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.at_hand.len() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => (self.at_hand, self.taken) = (bytes, 0),
                Some(Piece::End) => self.ended = true,
                None => {
                    let why = "it broke off, or the process that owns the data directory is ending";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
            }
        }
        let length = buffer.len().min(self.at_hand.len() - self.taken);
        buffer[..length].copy_from_slice(&self.at_hand[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_breaks_off_is_told_from_input_that_ends() {
        let (sender, pieces) = tokio::sync::mpsc::channel(4);
        sender.blocking_send(Piece::Bytes(b"ab".to_vec())).unwrap_or_default();
        sender.blocking_send(Piece::Bytes(b"c".to_vec())).unwrap_or_default();
        sender.blocking_send(Piece::End).unwrap_or_default();
        let mut text = String::new();
        ClientInput::new(pieces).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        let (sender, pieces) = tokio::sync::mpsc::channel(4);
        sender.blocking_send(Piece::Bytes(b"ab".to_vec())).unwrap_or_default();
        drop(sender);
        let error = ClientInput::new(pieces).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_client_that_is_gone_is_a_closed_pipe() {
        let (frames, gone) = tokio::sync::mpsc::channel(1);
        drop(gone);
        let error = ClientEnds { frames, terminal: false }.stdout().write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
