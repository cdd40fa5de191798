//go:build wasip1

// The WIT exports of world `aggregator` as calls of a runner.

package aggregate

import (
	"unsafe"

	"tidemill/internal/guest"
	"tidemill/internal/host"
)

var opened Runner

var errNotOpened = Fatal("the host called the aggregate before `open`")

//go:wasmexport tidemill:operator/aggregate@0.1.0#describe
func exportDescribe() *uint32 {
	return guest.Describe(func() (*guest.Descriptor, error) {
		if registered.describe == nil {
			return nil, Fatal("no aggregate is registered: call aggregate.Register in an init function")
		}
		return registered.describe()
	})
}

//go:wasmexport tidemill:operator/aggregate@0.1.0#open
func exportOpen(config unsafe.Pointer, length uint32) *uint32 {
	if registered.open == nil {
		return guest.Answer(errNotOpened)
	}
	runner, err := registered.open(string(unsafe.Slice((*byte)(config), length)), host.Host{})
	if err == nil {
		opened = runner
	}
	return guest.Answer(err)
}

//go:wasmexport tidemill:operator/aggregate@0.1.0#accumulate
func exportAccumulate(params *[24]uint32) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	events := host.ReadBatch(params[:])
	given := host.ReadOptionalColumns(params[18:])
	accumulators, refused, err := opened.Accumulate(&events, host.U32s(params[16], params[17]), &given)
	if err != nil {
		return guest.Answer(err)
	}
	w := host.Ok()
	host.PutColumns(w, accumulators)
	guest.PutRejections(w[4:], refused)
	return host.Answer()
}

//go:wasmexport tidemill:operator/aggregate@0.1.0#merge
func exportMerge(groups, groupsLen, data, dataLen, ends, endsLen uint32) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	columns := host.ReadColumns([]uint32{data, dataLen, ends, endsLen})
	merged, err := opened.Merge(host.U32s(groups, groupsLen), &columns)
	if err != nil {
		return guest.Answer(err)
	}
	host.PutColumns(host.Ok(), merged)
	return host.Answer()
}

//go:wasmexport tidemill:operator/aggregate@0.1.0#finish
func exportFinish(keys, keysLen, keyEnds, keyEndsLen, windows, windowsLen, data, dataLen, ends, endsLen uint32) *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	columns := host.ReadColumns([]uint32{keys, keysLen, keyEnds, keyEndsLen})
	accumulators := host.ReadColumns([]uint32{data, dataLen, ends, endsLen})
	rows, windowOf, err := opened.Finish(&columns, host.Windows(windows, windowsLen), &accumulators)
	if err != nil {
		return guest.Answer(err)
	}
	w := host.Ok()
	host.PutBatch(w, rows)
	host.PutNumbers(w[16:], windowOf)
	return host.Answer()
}

//go:wasmexport tidemill:operator/aggregate@0.1.0#close
func exportClose() *uint32 {
	if opened == nil {
		return guest.Answer(errNotOpened)
	}
	return guest.Answer(opened.Close())
}
