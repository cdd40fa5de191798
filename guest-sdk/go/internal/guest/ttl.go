// Time to live of state: how the tags `ttl`, `clock` and `refresh` of a field become its state's entry in the descriptor.

package guest

import (
	"reflect"
	"strconv"
	"strings"
)

// TTL is how long an entry of a state lasts.
type TTL struct {
	Ms      int64  `json:"ms"`
	Clock   string `json:"clock"`
	Refresh string `json:"refresh"`
}

var units = []struct {
	name string
	ms   int64
}{{"ms", 1}, {"s", 1_000}, {"m", 60_000}, {"h", 3_600_000}, {"d", 86_400_000}}

const ttlLimitMs = 1 << 53

// ttlOf reads the tags of a field; nil = for ever. What cannot be meant is the author's error.
func ttlOf(field string, tag reflect.StructTag) (*TTL, error) {
	text, there := tag.Lookup("ttl")
	clock, refresh := tag.Get("clock"), tag.Get("refresh")
	if !there {
		if clock != "" || refresh != "" {
			return nil, Fatalf("field %s: `clock` and `refresh` are of `ttl`; write `ttl:\"10s\"` with them", field)
		}
		return nil, nil
	}
	ttl := TTL{Ms: milliseconds(text), Clock: "processing-time", Refresh: "write"}
	if ttl.Ms == 0 {
		return nil, Fatalf("field %s: ttl:%q: write a duration above 0, as 500ms, 10s, 5m, 1h or 2d", field, text)
	}
	switch clock {
	case "", "processing":
	case "event":
		ttl.Clock = "event-time"
	default:
		return nil, Fatalf("field %s: clock:%q: write event or processing", field, clock)
	}
	switch refresh {
	case "", "write":
	case "read-and-write":
		ttl.Refresh = refresh
	default:
		return nil, Fatalf("field %s: refresh:%q: write write or read-and-write", field, refresh)
	}
	return &ttl, nil
}

// milliseconds reads 10s; 0 = it cannot be meant.
func milliseconds(text string) int64 {
	digits := strings.TrimRight(text, "mshd")
	n, err := strconv.ParseInt(digits, 10, 64)
	for _, unit := range units {
		if err == nil && unit.name == text[len(digits):] && n > 0 && n < ttlLimitMs/unit.ms {
			return n * unit.ms
		}
	}
	return 0
}
