package gemini

import (
	"encoding/json"
	"testing"

	"github.com/evalforge/evalforge/internal/pace"
)

func TestMinuteQuota(t *testing.T) {
	for name, tt := range map[string]struct {
		violations string
		want       pace.Quota
		daily      bool
	}{
		"requests":           {`[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaValue":"15"}]`, pace.Quota{Requests: 15}, false},
		"tokens":             {`[{"quotaId":"GenerateContentInputTokensPerModelPerMinute-FreeTier","quotaValue":"250000"}]`, pace.Quota{Tokens: 250_000}, false},
		"a number":           {`[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":15}]`, pace.Quota{Requests: 15}, false},
		"both, and a day's":  {`[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":"15"},{"quotaId":"GenerateContentInputTokensPerModelPerMinute","quotaValue":"9"},{"quotaId":"GenerateRequestsPerDayPerProjectPerModel","quotaValue":"20"}]`, pace.Quota{Requests: 15, Tokens: 9}, true},
		"the smaller of two": {`[{"quotaId":"GenerateRequestsPerMinutePerProject","quotaValue":"60"},{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":"15"}]`, pace.Quota{Requests: 15}, false},
		"without a value":    {`[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]`, pace.Quota{}, false},
		"none":               {`[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel","quotaValue":"0"},{"quotaId":"RequestsPerMinute","quotaValue":"many"},{"quotaId":"RequestsPerMinute","quotaValue":-3}]`, pace.Quota{}, false},
		"something else":     {`[{"quotaId":"ConcurrentSessionsPerMinute","quotaValue":"3"}, "text", {"quotaId":7}]`, pace.Quota{}, false},
		"another form":       {`{"quotaId":"GenerateRequestsPerMinute","quotaValue":"3"}`, pace.Quota{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var details []map[string]any
			if err := json.Unmarshal([]byte(`[{"@type":"type.googleapis.com/google.rpc.RetryInfo"},{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":`+tt.violations+`}]`), &details); err != nil {
				t.Fatal(err)
			}
			if got := minuteQuota(details); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got := dailyQuota(details); got != tt.daily {
				t.Errorf("daily: got %v, want %v", got, tt.daily)
			}
		})
	}
}
