// Where an operator becomes the component's.

package tidemill

var registered struct {
	operator any
	options  []Option
}

// Register makes an operator the component's: once, in an init function. The operator is a pointer to a struct that
// implements EventOperator or BatchOperator, and whatever else of Opener, TimerOperator, WatermarkOperator and Closer
// it needs.
func Register(operator any, options ...Option) {
	registered.operator, registered.options = operator, options
}
