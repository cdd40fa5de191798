//! A transaction as a client holds it: routes and encodes its events, stages them, remembers what it does not know to be there.

use super::{Staging, TransactionInfo, TransactionPart, TransactionState};
use crate::batch::Batch;
use crate::commit::Append;
use crate::decide::transaction::keyless_hash;
use crate::error::{Error, Kind, Result};
use crate::ids::TransactionId;
use crate::store::Store;
use crate::stream::Appender;
use crate::time::EventTime;

/// Bytes of events after which a write stages by itself.
const STAGE_BYTES: usize = 1 << 20;

/// A handle on a transaction. Dropping it ends nothing: the transaction waits for its lease, or, when it is prepared, for its commit. A call
/// that failed as `Unavailable` or `Full` may be made again after [`Store::reopen_if_failed`]: what it did is not done twice.
#[derive(Debug)]
pub struct Transaction {
    store: Store,
    info: TransactionInfo,
    /// None = it takes no more events.
    appender: Option<Appender>,
    /// Encoded, and not known to be staged.
    pending: Vec<Append>,
}

impl Transaction {
    pub(crate) fn attach(store: &Store, info: TransactionInfo) -> Result<Transaction> {
        let mut transaction = Transaction { store: store.clone(), info, appender: None, pending: Vec::new() };
        if transaction.info.state == TransactionState::Open {
            transaction.appender = Some(transaction.route()?);
        }
        Ok(transaction)
    }

    /// For the segments as they are now.
    fn route(&self) -> Result<Appender> {
        let name = &self.info.name;
        let stream = self.store.stream(name)?.filter(|stream| stream.stream == self.info.stream);
        let gone =
            || Error::not_found(format!("transaction {}: stream {name} was deleted; begin another one", self.info.id));
        Ok(Appender::keeping_keyless(&stream.ok_or_else(gone)?, keyless_hash(self.info.id)))
    }

    /// Its id, to come back to it.
    pub fn id(&self) -> TransactionId {
        self.info.id
    }

    /// What this handle heard of it last. [`Store::transaction_info`] looks anew.
    pub fn info(&self) -> &TransactionInfo {
        &self.info
    }

    /// Takes events in: by key as in every append, key-less ones all to one segment, in order. They are durable with the next
    /// [`Transaction::flush`]; large ones are staged on the way. `Invalid`: a bad batch, of which nothing is taken, an event too large, after
    /// which this handle writes no more, or the transaction is over; `Fenced`: another handle writes to it.
    pub fn write(&mut self, batch: &Batch) -> Result<()> {
        batch.check("write to a transaction")?;
        let over = || {
            let (id, name) = (self.info.id, &self.info.name);
            Error::invalid(format!(
                "write to transaction {id} of stream {name}: it takes no more events; begin another one"
            ))
        };
        let appender = self.appender.as_mut().ok_or_else(over)?;
        if let Err(e) = appender.push(batch) {
            // It holds part of the batch: nothing of that may ever be staged.
            self.appender = None;
            return Err(e);
        }
        if appender.bytes() >= STAGE_BYTES { self.stage(false) } else { Ok(()) }
    }

    /// Everything written so far is durable; and still nobody sees it.
    pub fn flush(&mut self) -> Result<()> {
        self.stage(false)
    }

    /// Everything is durable, nothing more is written, and the transaction waits for its commit for as long as it takes: it no longer
    /// expires.
    pub fn prepare(&mut self) -> Result<()> {
        self.stage(true)
    }

    fn encode(&mut self) -> Result<()> {
        if let Some(appender) = &mut self.appender {
            self.pending.append(&mut appender.finish()?);
        }
        Ok(())
    }

    fn stage(&mut self, prepare: bool) -> Result<()> {
        self.encode()?;
        if self.pending.is_empty() && !prepare {
            return Ok(());
        }
        let staging = Staging { after: self.info.chunks, appends: self.pending.clone() };
        self.hear(TransactionPart::Write { id: self.info.id, staging, prepare })
    }

    /// Makes all of it visible, with what was never flushed. With a time its writer's events after this are later. Commits become visible in
    /// the order in which they are asked for; asked again, the same is answered. Errors: [`Store::commit_transaction`].
    pub fn commit(&mut self, time: Option<EventTime>) -> Result<&TransactionInfo> {
        self.encode()?;
        let rest = Staging { after: self.info.chunks, appends: self.pending.clone() };
        self.hear(TransactionPart::Commit { id: self.info.id, rest, time })?;
        Ok(&self.info)
    }

    /// Drops all of it. Asked again, the same is answered. Errors: [`Store::abort_transaction`].
    pub fn abort(&mut self) -> Result<&TransactionInfo> {
        self.hear(TransactionPart::Abort { id: self.info.id })?;
        Ok(&self.info)
    }

    /// Renews the lease. A write that stages does so, too.
    pub fn ping(&mut self) -> Result<&TransactionInfo> {
        self.hear(TransactionPart::Ping { id: self.info.id, lease_ms: None })?;
        Ok(&self.info)
    }

    /// Asks, and keeps what is answered. After an unknown outcome everything is kept as it was, to be asked again.
    fn hear(&mut self, part: TransactionPart) -> Result<()> {
        let stages = part.staging().is_some();
        match self.store.ask_transaction(part) {
            Ok(info) => {
                self.info = info;
                if stages {
                    self.pending.clear();
                }
                if self.info.state != TransactionState::Open {
                    self.appender = None;
                }
                Ok(())
            }
            Err(e) => {
                if e.kind() == Kind::Fenced {
                    self.appender = None;
                }
                Err(e)
            }
        }
    }
}
