//! Checkpoints: when a barrier starts and when an epoch is complete ([`protocol`], pure), and the work around it
//! ([`coordinator`]: handovers in, epoch commits out).

pub mod coordinator;
mod outbox;
pub mod protocol;
