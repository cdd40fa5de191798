//! Interface `metrics`: operations go to the call's context; they count when the call is committed.

use super::{Answer, HostState, answer, entry};
use crate::operator::MetricOp;
use crate::operator::descriptor::MetricKind;
use crate::wasm::bindings::wit::metrics::Host;

impl Host for HostState {
    fn add(&mut self, metric: u32, amount: u64) -> wasmtime::Result<()> {
        answer("metrics.add", self.measure(metric, MetricKind::Counter, MetricOp::Add(metric, amount), 8))
    }

    fn set(&mut self, metric: u32, value: f64) -> wasmtime::Result<()> {
        answer("metrics.set", self.measure(metric, MetricKind::Gauge, MetricOp::Set(metric, value), 8))
    }

    fn observe(&mut self, metric: u32, values: Vec<f64>) -> wasmtime::Result<()> {
        let bytes = size_of_val(values.as_slice());
        let operation = MetricOp::Observe(metric, values);
        answer("metrics.observe", self.measure(metric, MetricKind::Histogram, operation, bytes))
    }
}

impl HostState {
    fn measure(&mut self, metric: u32, kind: MetricKind, operation: MetricOp, bytes: usize) -> Answer<()> {
        self.needs_instance()?;
        let declared = entry(&self.descriptor.metrics, "metric", metric)?;
        if declared.kind != kind {
            return Err(format!(
                "metric {metric} ({}) is declared as a {}; add is for counters, set for gauges, observe for histograms",
                declared.name,
                match declared.kind {
                    MetricKind::Counter => "counter",
                    MetricKind::Gauge => "gauge",
                    MetricKind::Histogram => "histogram",
                }
            ));
        }
        self.budget.take_output(bytes)?;
        self.context.metrics.push(operation);
        Ok(())
    }
}
