//! The owner's end of the control socket: listens for as long as it lives, on one thread of its own. `run` starts it once
//! the store is open and closes it before the store.

use super::address::{Address, SOCKET_FILE, SOCKET_FILE_NEW};
use super::connection::{refuse, serve};
use crate::cli::access::Owned;
use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Commands at a time; each may use a thread.
const CONNECTIONS_MAX: usize = 64;
/// How long the commands at hand may take to end when the owner does.
const LAST_COMMANDS_TIME: Duration = Duration::from_secs(5);
/// Wait after a connection could not be taken (no file handle is free).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A listening control socket.
pub(crate) struct ControlServer {
    path: PathBuf,
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Listens in a data directory that the caller owns: a socket that is there is a dead owner's.
    pub(crate) fn start(data_dir: &Path, owned: Owned) -> Result<ControlServer> {
        let path = data_dir.join(SOCKET_FILE);
        let context = || format!("cannot listen on {}", path.display());
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(CONNECTIONS_MAX)
            .thread_name("control-command")
            .build()
            .with_context(context)?;
        let listener = {
            let _inside = runtime.enter();
            bind(data_dir).with_context(context)?
        };
        let (ending, is_ending) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || run(runtime, listener, &owned, &is_ending))
            .with_context(context)?;
        Ok(ControlServer { path, ending, thread: Some(thread) })
    }
}

impl Drop for ControlServer {
    /// Takes no more commands, lets those at hand end, and leaves no socket behind.
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
        self.ending.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the control socket panicked (please report this)");
        }
    }
}

/// The socket gets its name when it listens and has its mode; a dead owner's is replaced in the same step.
fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(data_dir.join(SOCKET_FILE_NEW)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = Address::new(data_dir, SOCKET_FILE_NEW)?;
    let listener = UnixListener::bind(address.path())?;
    fs::set_permissions(address.path(), fs::Permissions::from_mode(0o600))?;
    fs::rename(data_dir.join(SOCKET_FILE_NEW), data_dir.join(SOCKET_FILE))?;
    Ok(listener)
}

fn run(runtime: Runtime, listener: UnixListener, owned: &Owned, ending: &watch::Receiver<bool>) {
    runtime.block_on(accept(listener, owned, ending.clone()));
    // A command that hangs on to a client that does not read is left behind; it holds nothing but its thread.
    runtime.shutdown_background();
}

async fn accept(listener: UnixListener, owned: &Owned, mut ending: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let is_ending = ending.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = ending.wait_for(|ending| *ending) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the control socket cannot take a command: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let (owned, ending, place) = (owned.clone(), is_ending.clone(), places.clone().try_acquire_owned());
        match place {
            Ok(place) => connections.spawn(async move {
                serve(stream, owned, ending).await;
                drop(place);
            }),
            Err(_) => connections.spawn(async move {
                let why = format!(
                    "{CONNECTIONS_MAX} commands use this data directory's control socket already: end one of them"
                );
                refuse(&mut stream.into_split().1, &why).await;
            }),
        };
    }
    drop(listener);
    let last = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_COMMANDS_TIME, last).await.is_err() {
        tracing::warn!("commands on the control socket did not end in time and are broken off");
    }
}
