//go:build wasip1

// The WIT exports of world `processor` as calls of a runner.

package tidemill

import (
	"unsafe"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

var opened *Runner

var errNotOpened = Fatal("the host called the operator before `open`")

//go:wasmexport tidemill:operator/operator@0.1.0#describe
func exportDescribe() *uint32 {
	return guest.Describe(func() (*guest.Descriptor, error) {
		if registered.operator == nil {
			return nil, Fatal("no operator is registered: call tidemill.Register in an init function")
		}
		return DescribeOperator(registered.operator, registered.options...)
	})
}

//go:wasmexport tidemill:operator/operator@0.1.0#open
func exportOpen(config unsafe.Pointer, length uint32) *uint32 {
	text := string(unsafe.Slice((*byte)(config), length))
	runner, err := OpenOperator(registered.operator, registered.options, text, host.Host{})
	if err == nil {
		opened = runner
	}
	return guest.Answer(err)
}

var processed host.Batch

//go:wasmexport tidemill:operator/operator@0.1.0#process
func exportProcess(params *[20]uint32) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	watermark := int64(uint64(params[2]) | uint64(params[3])<<32)
	processed = host.ReadBatch(params[4:])
	return guest.AnswerRejections(opened.Process(params[0], watermark, &processed))
}

//go:wasmexport tidemill:operator/operator@0.1.0#on-timers
func exportOnTimers(_, timer, keys, keysLen, ends, endsLen, times, timesLen uint32, watermark int64) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	columns := host.ReadColumns([]uint32{keys, keysLen, ends, endsLen})
	return guest.AnswerRejections(opened.OnTimers(timer, &columns, host.I64s(times, timesLen), watermark))
}

//go:wasmexport tidemill:operator/operator@0.1.0#on-watermark
func exportOnWatermark(watermark int64) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	return guest.Answer(opened.OnWatermark(watermark))
}

//go:wasmexport tidemill:operator/operator@0.1.0#close
func exportClose() *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	return guest.Answer(opened.Close())
}
