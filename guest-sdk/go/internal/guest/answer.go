//go:build wasip1

// What an export answers the host, from what the operator gave back.

package guest

import "tidemill/internal/host"

// Answer is that of a call without a result of its own.
func Answer(err error) *uint32 {
	if err == nil {
		host.Ok()
		return host.Answer()
	}
	failed := Failure(err)
	switch {
	case failed == nil:
		return host.Fatal(err.Error())
	case failed.Retry:
		return host.Retry(failed.Delayed, failed.AfterMs)
	}
	return host.Fatal(failed.Reason)
}

// AnswerRejections is that of a call that may refuse some of its events.
func AnswerRejections(refused []Rejection, err error) *uint32 {
	if err != nil {
		return Answer(err)
	}
	PutRejections(host.Ok(), refused)
	return host.Answer()
}

// PutRejections lays them out in two words of an answer.
func PutRejections(w []uint32, refused []Rejection) {
	host.PutRejections(w, len(refused), func(i int) (uint32, string) { return refused[i].Index, refused[i].Reason })
}

// Describe answers `describe`. No descriptor is better than a wrong one: the host refuses the empty string, and the log
// says why.
func Describe(describe func() (*Descriptor, error)) *uint32 {
	json := ""
	err := Guard(NewCall(host.Host{}), func() error {
		d, err := describe()
		if err == nil {
			json, err = d.JSON()
		}
		return err
	})
	if err != nil {
		host.Log(host.Error, err.Error())
		json = ""
	}
	return host.String(json)
}
