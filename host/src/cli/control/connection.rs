//! One client of the control socket, from its request to its exit code. `server.rs` gives it the connection; the command
//! runs on a blocking thread, and two small tasks move its frames.

use super::ends::{ClientEnds, ClientInput, Piece};
use super::frame::{Frame, FrameKind};
use super::request::Request;
use crate::cli::access::{Access, Owned};
use crate::cli::data;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::session::{Input, Session};
use std::io;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// How long a client may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// And to take the last word.
const LAST_WORD_TIME: Duration = Duration::from_secs(5);
/// Frames that wait for the client, and for the command: with 64 KiB each, 512 KiB a way.
const FRAMES_WAITING: usize = 8;

/// Serves a client to its end. `ending` turns true when the owner is about to end.
pub(super) async fn serve(stream: UnixStream, owned: Owned, mut ending: watch::Receiver<bool>) {
    let (mut reader, mut writer) = stream.into_split();
    let request = tokio::select! {
        request = timeout(REQUEST_TIME, read_request(&mut reader)) => request,
        _ = ending.wait_for(|ending| *ending) => return, // nothing was begun: the client sees to it itself
    };
    let request = match request {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) => return, // it only looked whether somebody answers
        Ok(Err(why)) => return refuse(&mut writer, &why).await,
        Err(_) => return refuse(&mut writer, "no request came within 10 s").await,
    };
    if Frame::new(FrameKind::Accepted, &[]).send(&mut writer).await.is_err() {
        return;
    }
    let interrupt = Interrupt::default();
    let (frames, outgoing) = mpsc::channel(FRAMES_WAITING);
    let (input, reading) = if request.command.reads_input() {
        let (pieces, incoming) = mpsc::channel(FRAMES_WAITING);
        let input: Input = Box::new(ClientInput::new(incoming));
        (input, tokio::spawn(read(reader, Some(pieces), interrupt.clone(), ending)))
    } else {
        let input: Input = Box::new(io::empty());
        (input, tokio::spawn(read(reader, None, interrupt.clone(), ending)))
    };
    let writing = tokio::spawn(write(writer, outgoing));
    let output = Output::new(request.json, ClientEnds { frames: frames.clone(), terminal: request.terminal });
    let command = tokio::task::spawn_blocking(move || {
        let access = Access::lent(request.command.data_dir(), owned);
        let session = Session::remote(access, output, input, interrupt);
        let done = data::dispatch(&request.command, &session);
        session.output.conclude(done)
    });
    let code = match command.await {
        Ok(code) => code,
        Err(_) => {
            let talk = "error: the command panicked in the process that owns the data directory (please report this)";
            let _ = frames.send(Frame::new(FrameKind::Talk, talk.as_bytes())).await;
            1
        }
    };
    // A client that is gone needs no exit code.
    let _ = frames.send(Frame::new(FrameKind::Exit, &[code])).await;
    drop(frames);
    let _ = writing.await;
    reading.abort();
}

async fn read_request(reader: &mut OwnedReadHalf) -> Result<Option<Request>, String> {
    match Frame::receive(reader).await {
        Ok(Some(Frame { kind: FrameKind::Request, payload })) => Request::parse(&payload).map(Some),
        Ok(Some(frame)) => Err(format!("not a request of tidemill: a frame of kind {:?}", frame.kind)),
        Ok(None) => Ok(None),
        Err(error) => Err(format!("not a request of tidemill: {error}")),
    }
}

/// Says why nothing is done.
pub(super) async fn refuse(writer: &mut OwnedWriteHalf, why: &str) {
    let last_word = async {
        Frame::new(FrameKind::Talk, format!("error: {why}").as_bytes()).send(writer).await?;
        Frame::new(FrameKind::Exit, &[1]).send(writer).await
    };
    // Whoever does not listen need not know.
    let _ = timeout(LAST_WORD_TIME, last_word).await;
}

/// Hands the client's stdin on, and asks the command to end when the client or the owner does.
async fn read(
    mut reader: OwnedReadHalf,
    mut pieces: Option<mpsc::Sender<Piece>>,
    interrupt: Interrupt,
    mut ending: watch::Receiver<bool>,
) {
    loop {
        let frame = tokio::select! {
            frame = Frame::receive(&mut reader) => frame,
            _ = ending.wait_for(|ending| *ending) => break,
        };
        let (piece, is_last) = match frame {
            Ok(Some(Frame { kind: FrameKind::Input, payload })) => (Piece::Bytes(payload), false),
            Ok(Some(Frame { kind: FrameKind::InputEnd, .. })) => (Piece::End, true),
            _ => break, // its end, or nothing that a client says here
        };
        let Some(sender) = &pieces else { break };
        tokio::select! {
            // A command that has seen enough takes no more; its exit code is on the way.
            _ = sender.send(piece) => {}
            _ = ending.wait_for(|ending| *ending) => break,
        }
        if is_last {
            pieces = None;
        }
    }
    interrupt.ask();
}

async fn write(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if frame.send(&mut writer).await.is_err() {
            return; // the command learns it at its next word
        }
    }
}
