package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/server/auth"
	serverproblem "github.com/evalforge/evalforge/internal/server/problem"
)

// checkBudgets checks that what runs may spend is bounded.
func (c *call) checkBudgets() []check {
	if c.cfg.analyzer != "gemini" {
		return nil
	}
	b := c.cfg.engine.Budgets
	run, day := float64(b.Run.NanoUSD)/1e9, float64(b.Day.NanoUSD)/1e9
	if b == (extract.Budgets{}) {
		return []check{{"budget", checkWarn, "nothing bounds what runs spend on the model", "set EVALFORGE_RUN_BUDGET_USD and EVALFORGE_DAILY_BUDGET_USD"}}
	}
	if day > 0 && run > day {
		return []check{{"budget", checkWarn, fmt.Sprintf("a run may spend $%g, but a day only $%g", run, day), "set EVALFORGE_RUN_BUDGET_USD below EVALFORGE_DAILY_BUDGET_USD"}}
	}
	bound := func(usd float64, tokens int64) string {
		var parts []string
		if usd > 0 {
			parts = append(parts, fmt.Sprintf("$%g", usd))
		}
		if tokens > 0 {
			parts = append(parts, fmt.Sprintf("%d tokens", tokens))
		}
		return cmp.Or(strings.Join(parts, " and "), "no bound")
	}
	return []check{{"budget", checkOK, fmt.Sprintf("%s per run, %s per day", bound(run, b.Run.Tokens), bound(day, b.Day.Tokens)), ""}}
}

// checkIndexes asks a Firestore database for a page of each list that needs a composite
// index. A database in which one is missing answers with an error that says so.
func (c *call) checkIndexes(ctx context.Context, s extract.Store) []check {
	if c.cfg.store.scheme != "firestore" {
		return nil
	}
	one := extract.PageQuery{Limit: 1}
	patterns := func(q extract.PatternQuery) func() error {
		q.PageQuery = one
		return func() error { _, _, err := s.Patterns(ctx, q); return err }
	}
	failures := func(q extract.ErrorQuery) func() error {
		q.PageQuery = one
		return func() error { _, _, err := s.Errors(ctx, q); return err }
	}
	asks := []struct {
		name string
		ask  func() error
	}{
		{"patterns by type", patterns(extract.PatternQuery{FailureType: evalforge.WrongTool})},
		{"patterns by severity", patterns(extract.PatternQuery{Severity: evalforge.High})},
		{"patterns by fingerprint", patterns(extract.PatternQuery{Fingerprint: "none"})},
		{"patterns by run", patterns(extract.PatternQuery{RunID: "none"})},
		{"patterns by service", patterns(extract.PatternQuery{Service: "none"})},
		{"patterns by model", patterns(extract.PatternQuery{Model: "none"})},
		{"patterns by confidence", patterns(extract.PatternQuery{Sort: extract.ByConfidence})},
		{"errors of a run", failures(extract.ErrorQuery{RunID: "none"})},
		{"errors of a trace", failures(extract.ErrorQuery{TraceID: "none"})},
		{"quarantined traces", func() error {
			_, _, err := s.States(ctx, extract.StateQuery{PageQuery: one, Quarantined: true})
			return err
		}},
	}
	var missing []string
	for _, a := range asks {
		switch err := a.ask(); {
		case status.Code(err) == codes.FailedPrecondition:
			missing = append(missing, a.name)
		case err != nil:
			return []check{{"indexes", checkFail, fmt.Sprintf("%s: %v", a.name, err), "see the check of the store"}}
		}
	}
	if len(missing) > 0 {
		return []check{{"indexes", checkFail, "missing, or still built, for: " + strings.Join(missing, ", "),
			"deploy firestore.indexes.json (firebase deploy --only firestore:indexes, or deploy/terraform), and wait until they are ready: gcloud firestore indexes composite list"}}
	}
	return []check{{"indexes", checkOK, "every list that needs an index has it", ""}}
}

// checkCloudRun checks what is particular to a service on Cloud Run.
func (c *call) checkCloudRun() []check {
	if !c.cfg.cloudRun {
		return nil
	}
	what := "service " + c.Getenv("K_SERVICE") + ", revision " + cmp.Or(c.Getenv("K_REVISION"), "unknown")
	if job := c.Getenv("CLOUD_RUN_JOB"); job != "" {
		what = "job " + job
	}
	checks := []check{{"cloud run", checkOK, what, ""}}
	warn := func(detail, remedy string) {
		checks = append(checks, check{"cloud run", checkWarn, detail, remedy})
	}
	if c.cfg.store.scheme != "firestore" {
		warn(fmt.Sprintf("the store %s is gone when the instance ends", c.cfg.store), "use -store firestore:PROJECT/DATABASE")
	}
	if c.Getenv("GOOGLE_CLOUD_PROJECT") == "" {
		warn("without the project, log lines are not linked to their requests", "set GOOGLE_CLOUD_PROJECT")
	}
	s, e := &c.cfg.service, &c.cfg.engine
	if s.every > 0 {
		warn("between requests Cloud Run takes the CPU away, so that the service's own schedule stands still", "let Cloud Scheduler call it and unset EVALFORGE_EVERY, or allocate the CPU always and keep one instance")
	}
	if worst := time.Duration(e.BatchSize) * e.TraceTimeout / time.Duration(max(1, e.Concurrency)); worst > s.requestTimeout {
		warn(fmt.Sprintf("a batch of %d traces may take %v, but a request only %v; such a run ends early, and the next goes on", e.BatchSize, worst, s.requestTimeout),
			"raise EVALFORGE_REQUEST_TIMEOUT with the timeouts of Cloud Run and the scheduler, or EVALFORGE_CONCURRENCY, or lower BATCH_SIZE")
	}
	return checks
}

// checkDeployed asks the service at base without a token for what needs one.
func (c *call) checkDeployed(ctx context.Context, base string) []check {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	fail := func(detail, remedy string) []check { return []check{{"deployed", checkFail, detail, remedy}} }
	u, err := url.JoinPath(base, "/api/v1/runs")
	if err != nil {
		return fail(err.Error(), "give the service's address: -url https://…")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return fail(err.Error(), "give the service's address: -url https://…")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fail(err.Error(), "check the address, and the service's ingress setting")
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // what it says does not matter
	_ = resp.Body.Close()
	// Ours answers refusals as problems; Google's front end does not.
	reached := resp.Header.Get("Content-Type") == serverproblem.MediaType
	switch mode, code := c.cfg.access.mode, resp.StatusCode; {
	case code < 300:
		return fail("everybody can read the runs: "+u+" answers without a token", "set EVALFORGE_AUTH on the service")
	case reached && (mode == auth.IAM || mode == "") && code == http.StatusUnauthorized:
		return fail("Cloud Run lets requests in without a token, so that anybody could write one that looks checked",
			"gcloud run services remove-iam-policy-binding SERVICE --member allUsers --role roles/run.invoker; or set EVALFORGE_AUTH=oidc")
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code >= 300 && code < 400:
		return []check{{"deployed", checkOK, fmt.Sprintf("%s refuses who has no token (%d)", base, code), ""}}
	default:
		return fail(fmt.Sprintf("%s answers %s", u, resp.Status), "check the address, and that the service is up: gcloud run services describe SERVICE")
	}
}
