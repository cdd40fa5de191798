//! The dataflow: step-driven tasks joined by bounded queues. It sees operators, sources and storage as traits and types,
//! and knows neither wasm nor who coordinates checkpoints.
//!
//! Map: a [`chain::ChainTask`] is a head (a [`source_task::SourceHead`] or an [`input_gate::InputGate`]) and the nodes
//! chained behind it ([`operator_task::OperatorNode`], [`sink_task::SinkNode`]). Its `step` makes at most one operator
//! call. Elements leave it through [`edge::OutputEdge`]s into [`queue`]s; [`worker::Executor`] drives all tasks.
//!
//! Invariants:
//! 1. elements of one channel keep their order; a barrier separates epochs on every channel;
//! 2. a task hands over an epoch once, after the barrier has passed all its nodes;
//! 3. nothing staged is visible outside: it leaves only inside a [`control::Handover`].

pub mod alignment;
pub mod chain;
pub mod control;
pub mod dead_letter;
pub mod edge;
pub mod element;
pub mod encoder;
pub mod input_gate;
pub mod operator_task;
pub mod partitioner;
pub mod queue;
pub mod sink_task;
pub mod source_task;
pub mod task;
pub mod timer_service;
pub mod watermark;
pub mod worker;
