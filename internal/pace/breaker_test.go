package pace

import (
	"errors"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	down := errors.New("down")
	start := time.Unix(1767322800, 0)
	type call struct {
		subject  string
		from, to int // seconds
		answered bool
	}
	tests := map[string]struct {
		calls []call
		want  bool
	}{
		"nothing":               {nil, false},
		"down":                  {[]call{{"a", 0, 1, false}, {"a", 2, 3, false}, {"a", 5, 6, false}, {"b", 7, 8, false}, {"b", 10, 11, false}}, true},
		"one subject alone":     {[]call{{"a", 0, 1, false}, {"a", 2, 3, false}, {"a", 5, 6, false}, {"a", 7, 8, false}, {"a", 10, 11, false}}, false},
		"too soon":              {[]call{{"a", 0, 1, false}, {"b", 2, 3, false}, {"a", 4, 5, false}, {"b", 6, 7, false}, {"b", 8, 9, false}}, false},
		"at the same time":      {[]call{{"a", 0, 10, false}, {"b", 0, 10, false}, {"c", 0, 10, false}, {"d", 0, 11, false}, {"e", 0, 12, false}}, false},
		"an answer in between":  {[]call{{"a", 0, 1, false}, {"b", 2, 3, false}, {"c", 4, 5, true}, {"a", 6, 7, false}, {"b", 8, 9, false}, {"b", 18, 19, false}}, false},
		"an answer is too late": {[]call{{"a", 0, 1, false}, {"b", 2, 3, false}, {"b", 4, 5, false}, {"b", 8, 9, false}, {"b", 18, 19, false}, {"a", 19, 20, true}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b Breaker
			for _, c := range tt.calls {
				if c.answered {
					b.Answered()
					continue
				}
				b.Failed(c.subject, start.Add(time.Duration(c.from)*time.Second), start.Add(time.Duration(c.to)*time.Second), down)
			}
			if got := b.Open() != nil; got != tt.want {
				t.Errorf("open: got %v, want %v", got, tt.want)
			}
		})
	}
}
