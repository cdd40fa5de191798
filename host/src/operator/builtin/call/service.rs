//! The line to a service: one thread with an asynchronous runtime that sends requests, tries them again, and puts answers into a
//! mailbox that wakes the operator's task. The HTTP client is here and nowhere else in the host.
//!
//! Dropping the line ends the thread and whatever is open; nobody waits for that.

use crate::config::builtin::{CallSpec, HeaderValue, Method};
use crate::operator::{Failure, Wake};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// How much of an answer that is an error is told.
const TOLD_BYTES: usize = 200;

/// What came of a request in the end.
pub(super) struct Answer {
    /// The operator's number of it.
    pub(super) id: u64,
    pub(super) outcome: Outcome,
    /// Requests that were made.
    pub(super) attempts: u32,
}

/// What came of it.
pub(super) enum Outcome {
    /// A success, and its body.
    Answered(Bytes),
    /// None, and why.
    Failed(String),
}

struct Request {
    id: u64,
    url: String,
    body: Option<Bytes>,
}

/// Answers on their way to the task.
#[derive(Default)]
struct Mailbox {
    answers: Mutex<Vec<Answer>>,
    /// Something is in it, or the line is broken.
    full: AtomicBool,
    broken: AtomicBool,
    wake: OnceLock<Wake>,
}

impl Mailbox {
    // Nobody panics while holding the lock, so that a poisoned one still holds good data.
    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, answer: Answer) {
        self.lock().push(answer);
        self.ring();
    }

    /// The task is woken when it has nothing to take yet; otherwise it is on its way already.
    fn ring(&self) {
        if !self.full.swap(true, Ordering::AcqRel)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }
}

/// The operator's end.
pub(super) struct Line {
    requests: UnboundedSender<Request>,
    mailbox: Arc<Mailbox>,
    has_body: bool,
}

impl Line {
    /// Opens a line; nothing is sent yet.
    pub(super) fn open(spec: &CallSpec) -> Result<Line, Failure> {
        let caller = Arc::new(Caller::new(spec)?);
        let mailbox = Arc::new(Mailbox::default());
        let (requests, incoming) = unbounded_channel();
        let no_thread = |e: std::io::Error| Failure::Trap {
            message: format!("there is no thread for its calls: {e}"),
            backtrace: String::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_thread)?;
        let (line_mailbox, has_body) = (mailbox.clone(), caller.has_body());
        std::thread::Builder::new()
            .name("calls".into())
            .spawn(move || {
                runtime.block_on(serve(incoming, caller, line_mailbox));
                // A name look-up may hang; nobody waits for it.
                runtime.shutdown_background();
            })
            .map_err(no_thread)?;
        Ok(Line { requests, mailbox, has_body })
    }

    /// Whom to wake for answers.
    pub(super) fn set_wake(&self, wake: Wake) {
        // An operator goes on from its checkpoint once.
        let _ = self.mailbox.wake.set(wake);
    }

    /// Sends a request.
    pub(super) fn send(&self, id: u64, url: &str, body: Option<&Bytes>) {
        let body = body.filter(|_| self.has_body).cloned();
        if self.requests.send(Request { id, url: url.to_string(), body }).is_err() {
            self.mailbox.broken.store(true, Ordering::Release);
            self.mailbox.ring();
        }
    }

    /// Whether there is nothing to take.
    pub(super) fn is_quiet(&self) -> bool {
        !self.mailbox.full.load(Ordering::Acquire)
    }

    /// Takes all answers.
    pub(super) fn take(&self, into: &mut Vec<Answer>) -> Result<(), Failure> {
        self.mailbox.full.store(false, Ordering::Release);
        if self.mailbox.broken.load(Ordering::Acquire) {
            return Err(Failure::Bug("the thread of its calls is gone (please report this)".into()));
        }
        into.append(&mut self.mailbox.lock());
        Ok(())
    }
}

/// The thread: runs what comes until the operator is gone.
async fn serve(mut incoming: UnboundedReceiver<Request>, caller: Arc<Caller>, mailbox: Arc<Mailbox>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            request = incoming.recv() => match request {
                Some(request) => {
                    let (caller, mailbox) = (caller.clone(), mailbox.clone());
                    open.spawn(async move { mailbox.put(caller.call(request).await) });
                }
                // What is open is cancelled with the set: the next run issues it again.
                None => return,
            },
            Some(done) = open.join_next() => if done.is_err() {
                mailbox.broken.store(true, Ordering::Release);
                mailbox.ring();
            },
        }
    }
}

/// How requests are made.
struct Caller {
    client: reqwest::Client,
    method: reqwest::Method,
    spec: CallSpec,
}

/// Why one attempt failed.
struct Trouble {
    what: String,
    may_pass: bool,
}

impl Caller {
    fn new(spec: &CallSpec) -> Result<Caller, Failure> {
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &spec.headers {
            let text = match value {
                HeaderValue::Text(text) => text.clone(),
                HeaderValue::Env(variable) => std::env::var(variable).map_err(|_| {
                    Failure::Fatal(format!(
                        "environment variable {variable}, which header {name:?} asks for, is not set; set it and run again"
                    ))
                })?,
            };
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::Fatal(format!("{name:?} is no name of a header")))?;
            let mut value = reqwest::header::HeaderValue::from_str(&text)
                .map_err(|_| Failure::Fatal(format!("header {name:?} has signs that no header may hold")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let method = match spec.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let client = reqwest::Client::builder()
            // The pipeline file says whom to call; neither an answer nor the environment names another.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .build()
            .map_err(|e| Failure::Fatal(format!("no client for calls: {}", told(&e))))?;
        Ok(Caller { client, method, spec: spec.clone() })
    }

    fn has_body(&self) -> bool {
        matches!(self.spec.method, Method::Post | Method::Put | Method::Patch)
    }

    /// Asks until there is an answer, a failure that will not pass, or no attempt left.
    async fn call(&self, request: Request) -> Answer {
        let (mut attempts, mut wait_ms) = (0, self.spec.backoff_ms);
        let limit = Duration::from_millis(self.spec.timeout_ms);
        let outcome = loop {
            attempts += 1;
            let trouble = match tokio::time::timeout(limit, self.attempt(&request)).await {
                Ok(Ok(body)) => break Outcome::Answered(body),
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble { what: format!("no answer within {} ms", self.spec.timeout_ms), may_pass: true },
            };
            if !trouble.may_pass || attempts > self.spec.retries {
                let place = request.url.split('?').next().unwrap_or_default();
                let tries = if attempts == 1 { String::new() } else { format!(" ({attempts} attempts)") };
                break Outcome::Failed(format!("{} {place}: {}{tries}", self.method, trouble.what));
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = wait_ms.saturating_mul(2).min(self.spec.backoff_max_ms);
        };
        Answer { id: request.id, outcome, attempts }
    }

    async fn attempt(&self, request: &Request) -> Result<Bytes, Trouble> {
        let mut builder = self.client.request(self.method.clone(), &request.url);
        if let Some(body) = &request.body {
            if !self.spec.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                builder = builder.header(reqwest::header::CONTENT_TYPE, "application/json");
            }
            builder = builder.body(body.clone());
        }
        let passing = |e: reqwest::Error| Trouble { may_pass: !e.is_builder(), what: told(&e) };
        let mut response = builder.send().await.map_err(passing)?;
        let status = response.status();
        let most = if status.is_success() { self.spec.answer_bytes_max as usize } else { TOLD_BYTES };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(passing)? {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                break;
            }
        }
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body[..body.len().min(TOLD_BYTES)]).trim().to_string();
            let text = if text.is_empty() { text } else { format!(": {text}") };
            let may_pass = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
            return Err(Trouble { what: format!("answered {status}{text}"), may_pass });
        }
        if body.len() > most {
            let what = format!("the answer is longer than answer_limit, {most} bytes");
            return Err(Trouble { what, may_pass: false });
        }
        Ok(body.into())
    }
}

/// An error with its causes, without the address: that is told without its query.
fn told(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(next) = cause {
        text = if text.is_empty() { next.to_string() } else { format!("{text}: {next}") };
        cause = next.source();
    }
    if text.is_empty() { "the request failed".into() } else { text }
}
