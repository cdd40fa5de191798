//! An HTTP service in the test's own process, which answers as the test says, counts what is with it at once, and can be made
//! to hang.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Method and path with its query.
    pub(crate) what: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// What it is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) delay_us: u64,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Reply {
        Reply { status: 200, body: body.into(), delay_us: 0 }
    }

    pub(crate) fn status(status: u16) -> Reply {
        Reply { status, body: "because".into(), delay_us: 0 }
    }
}

type Behaviour = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

struct Shared {
    behaviour: Box<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    /// How often each request came.
    times: Mutex<HashMap<(String, String), usize>>,
    at_once: AtomicUsize,
    most: AtomicUsize,
    is_held: Mutex<bool>,
    released: Condvar,
    is_over: AtomicBool,
}

/// The service; it ends with the test.
pub(crate) struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Service {
    /// `behaviour` is told the request and how often the same one came before.
    pub(crate) fn start(behaviour: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour: Box::new(behaviour),
            seen: Mutex::default(),
            times: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            is_held: Mutex::new(false),
            released: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, shared) = (stream.unwrap(), accepting.clone());
                // A caller that is killed, or gives up, breaks its connection: nobody hears of it.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Service { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on requests are taken and not answered.
    pub(crate) fn hold(&self) {
        *self.shared.is_held.lock().unwrap() = true;
    }

    /// Answers again, also what waits.
    pub(crate) fn release(&self) {
        *self.shared.is_held.lock().unwrap() = false;
        self.shared.released.notify_all();
    }

    /// Requests that are not answered yet.
    pub(crate) fn at_once(&self) -> usize {
        self.shared.at_once.load(Ordering::SeqCst)
    }

    /// The most there ever were.
    pub(crate) fn most(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Every request so far, in the order of their coming.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.release();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_string()),
                }
            }
            let what = head[0].trim_end_matches(" HTTP/1.1").to_string();
            let headers: Vec<String> = head[1..].iter().map(|line| line.to_ascii_lowercase()).collect();
            let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body)?;
            let seen = Seen { what, headers, body: String::from_utf8(body).unwrap() };
            let reply = self.answer(&seen);
            let Reply { status, body, .. } = reply;
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
        }
    }

    fn answer(&self, request: &Seen) -> Reply {
        self.seen.lock().unwrap().push(request.clone());
        let before = {
            let mut times = self.times.lock().unwrap();
            let times = times.entry((request.what.clone(), request.body.clone())).or_default();
            *times += 1;
            *times - 1
        };
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let reply = (self.behaviour)(request, before);
        std::thread::sleep(Duration::from_micros(reply.delay_us));
        let mut held = self.is_held.lock().unwrap();
        while *held {
            held = self.released.wait(held).unwrap();
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        reply
    }
}
