// Where an aggregate becomes the component's.

package aggregate

import (
	"tidemill/internal/guest"
	"tidemill/internal/host"
)

var registered struct {
	describe func() (*guest.Descriptor, error)
	open     func(config string, h host.Host) (Runner, error)
}

// Register makes an aggregate the component's: once, in an init function. It is a pointer to a struct, and may implement
// Opener and Closer.
func Register[A any](aggregator Aggregator[A], options ...Option) {
	registered.describe = func() (*guest.Descriptor, error) { return DescribeAggregator(aggregator, options...) }
	registered.open = func(config string, h host.Host) (Runner, error) {
		return OpenAggregator(aggregator, options, config, h)
	}
}
