//! Drives the egresses of a job, each on its own thread: steps while there is something to move, waits a little when
//! there is not, and at the end of a finished pipeline leaves nothing behind.

use super::{JobError, stopped_within};
use crate::connector::{ConnectorError, Egress};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemill_storage::{Kind, Store};

/// Wait between looks for committed output, ms.
const POLL_MS: u64 = 10;
/// Wait after passing trouble, ms.
const RETRY_MS: u64 = 200;
/// Passing troubles in a row before the egress gives up.
const RETRIES_MAX: u32 = 50;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Move everything that is committed, then end.
    Drain,
    /// End after the step at hand.
    Halt,
}

struct Runner {
    name: String,
    orders: Sender<Order>,
    thread: JoinHandle<Result<(), ConnectorError>>,
}

/// The running egresses of a job.
#[derive(Default)]
pub struct Egresses {
    runners: Vec<Runner>,
}

impl Egresses {
    /// Starts one thread per egress.
    pub fn start(egresses: Vec<(String, Box<dyn Egress>)>, store: &Store) -> Result<Egresses, JobError> {
        let mut all = Egresses::default();
        for (name, egress) in egresses {
            let (orders, inbox) = unbounded();
            let store = store.clone();
            let thread = std::thread::Builder::new()
                .name(format!("egress-{name}"))
                .spawn(move || run(egress, &store, &inbox))
                .map_err(|e| JobError::System(format!("no thread for egress {name}: {e}")))?;
            all.runners.push(Runner { name, orders, thread });
        }
        Ok(all)
    }

    /// Whether one has failed already: the job should not go on without it.
    pub fn has_failed(&self) -> bool {
        self.runners.iter().any(|r| r.thread.is_finished())
    }

    /// Ends all of them; `drain` = only when everything committed is outside, or the user no longer waits for that.
    pub fn finish(self, drain: bool, stop: &Receiver<()>) -> Result<(), JobError> {
        let tell = |order| {
            for runner in &self.runners {
                // A failed egress does not listen any more; its error comes with the join.
                let _ = runner.orders.send(order);
            }
        };
        tell(if drain { Order::Drain } else { Order::Halt });
        while self.runners.iter().any(|runner| !runner.thread.is_finished()) {
            if stopped_within(stop, Duration::from_millis(POLL_MS)) {
                // What is not outside yet is committed: the next run copies it.
                tell(Order::Halt);
            }
        }
        let mut first_error = Ok(());
        for runner in self.runners {
            let result = match runner.thread.join() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(ConnectorError::Invalid(why))) => Err(JobError::Invalid(format!("sink {}: {why}", runner.name))),
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(JobError::System(format!("egress {} panicked (please report this)", runner.name))),
            };
            first_error = first_error.and(result);
        }
        first_error
    }
}

fn run(mut egress: Box<dyn Egress>, store: &Store, inbox: &Receiver<Order>) -> Result<(), ConnectorError> {
    let mut order = None;
    let mut troubles = 0;
    let mut full = false;
    loop {
        order = inbox.try_recv().ok().or(order);
        if order == Some(Order::Halt) {
            return Ok(());
        }
        let wait = match egress.step(store, order == Some(Order::Drain)) {
            Ok(true) => {
                (troubles, full) = (0, false);
                continue;
            }
            Ok(false) if order == Some(Order::Drain) => return Ok(()),
            Ok(false) => POLL_MS,
            Err(error) if is_full(&error) => {
                if !std::mem::replace(&mut full, true) {
                    tracing::warn!("an egress waits for room on a disk: {error}");
                }
                reopen(store);
                RETRY_MS
            }
            Err(error) if is_passing(&error) && troubles < RETRIES_MAX => {
                troubles += 1;
                tracing::warn!("an egress has trouble and tries again: {error}");
                reopen(store);
                RETRY_MS
            }
            Err(error) => return Err(error),
        };
        match inbox.recv_timeout(Duration::from_millis(wait)) {
            Ok(new) => order = Some(new),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// At the end of a job nobody else does it.
fn reopen(store: &Store) {
    if let Err(error) = store.reopen_if_failed() {
        tracing::debug!("the store does not open again yet: {error}");
    }
}

fn is_full(error: &ConnectorError) -> bool {
    match error {
        ConnectorError::Full(_) => true,
        ConnectorError::Storage(e) => e.kind() == Kind::Full,
        ConnectorError::Invalid(_) | ConnectorError::Unavailable(_) => false,
    }
}

fn is_passing(error: &ConnectorError) -> bool {
    match error {
        ConnectorError::Invalid(_) | ConnectorError::Full(_) => false,
        ConnectorError::Unavailable(_) => true,
        ConnectorError::Storage(e) => e.kind() == Kind::Unavailable,
    }
}
