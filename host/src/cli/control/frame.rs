//! A frame on the control socket: what both sides of a connection say, one piece at a time. The layout never changes, so
//! that any two versions can tell each other that they do not fit.
//!
//! Layout: length of the payload u32, little-endian; kind u8; payload.

use std::io::{self, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest payload.
pub(crate) const PAYLOAD_MAX: usize = 64 << 10;
const HEADER: usize = 5;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Client: the command.
    Request = 1,
    /// Client: bytes of stdin.
    Input = 2,
    /// Client: stdin has ended.
    InputEnd = 3,
    /// Owner: the command is taken and may have effects from now on.
    Accepted = 16,
    /// Owner: bytes for stdout.
    Data = 17,
    /// Owner: a line for stderr.
    Talk = 18,
    /// Owner: the exit code; the last frame.
    Exit = 19,
}

impl FrameKind {
    fn of(byte: u8) -> Option<FrameKind> {
        use FrameKind::*;
        [Request, Input, InputEnd, Accepted, Data, Talk, Exit].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Of at most [`PAYLOAD_MAX`] bytes; what is longer is cut.
    pub(crate) fn new(kind: FrameKind, payload: &[u8]) -> Frame {
        Frame { kind, payload: payload[..payload.len().min(PAYLOAD_MAX)].to_vec() }
    }

    fn header(&self) -> [u8; HEADER] {
        let length = (self.payload.len() as u32).to_le_bytes();
        [length[0], length[1], length[2], length[3], self.kind as u8]
    }

    /// Writes it.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header())?;
        out.write_all(&self.payload)
    }

    /// Reads one; none at the end of the connection.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Frame>> {
        let mut header = [0; HEADER];
        if from.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..])?;
        let (kind, length) = parse(header)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Some(Frame { kind, payload }))
    }

    /// Writes it.
    pub(crate) async fn send(&self, out: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        out.write_all(&self.header()).await?;
        out.write_all(&self.payload).await
    }

    /// Reads one; none at the end of the connection.
    pub(crate) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        let mut header = [0; HEADER];
        if from.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..]).await?;
        let (kind, length) = parse(header)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).await?;
        Ok(Some(Frame { kind, payload }))
    }
}

fn parse(header: [u8; HEADER]) -> io::Result<(FrameKind, usize)> {
    let [a, b, c, d, kind] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if length > PAYLOAD_MAX {
        return Err(wrong(format!("a frame of {length} bytes; at most {PAYLOAD_MAX} are taken")));
    }
    let kind = FrameKind::of(kind).ok_or_else(|| wrong(format!("a frame of unknown kind {kind}")))?;
    Ok((kind, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_end_is_no_error() {
        let frames = [Frame::new(FrameKind::Data, b"abc"), Frame::new(FrameKind::InputEnd, b"")];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).unwrap();
        }
        let mut from = bytes.as_slice();
        assert_eq!(Frame::read(&mut from).unwrap().as_ref(), Some(&frames[0]));
        assert_eq!(Frame::read(&mut from).unwrap().as_ref(), Some(&frames[1]));
        assert_eq!(Frame::read(&mut from).unwrap(), None);
    }

    #[test]
    fn the_layout_is_as_drawn() {
        let mut bytes = Vec::new();
        Frame::new(FrameKind::Exit, &[7]).write(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 0, 0, 0, 19, 7]);
    }

    #[test]
    fn garbage_cut_frames_and_long_ones_are_errors() {
        let long = [&(PAYLOAD_MAX as u32 + 1).to_le_bytes()[..], &[17]].concat();
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0, 0, 0, 0, 99], &[5, 0, 0, 0, 17, 1], &[5, 0], &long] {
            assert!(Frame::read(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }
}
