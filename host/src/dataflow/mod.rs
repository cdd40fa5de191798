//! The dataflow: elements on edges between step-driven tasks.

pub mod element;
pub mod timer_service;
