package gemini

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/genai"

	"github.com/evalforge/evalforge/internal/extract"
)

// Check asks the service to count the tokens of one word: free of charge, and it takes
// the same credentials, project, location and model as an analysis. A model that is
// gone is replaced, with a warning, as in an analysis; [Analyzer.Model] then names the
// successor. The error says what to do.
func (a *Analyzer) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxAnalyze)
	defer cancel()
	for {
		model := a.lineup.current()
		f, status := a.probe(ctx, model)
		switch {
		case f == nil:
			return nil
		case f.gone && a.advance(ctx, model, f):
			continue
		case f.gone:
			return noModel(f).err
		}
		if r := a.remedy(status, f); r != "" {
			return fmt.Errorf("%w; %s", f.err, r)
		}
		return f.err
	}
}

// probe makes the call, and returns its failure with the HTTP status, 0 for none.
func (a *Analyzer) probe(ctx context.Context, model string) (*failure, int) {
	ctx, ex := watch(ctx)
	counted, err := guard(func() (*genai.CountTokensResponse, error) {
		return a.client.Models.CountTokens(ctx, model, []*genai.Content{genai.NewContentFromText("ping", genai.RoleUser)}, nil)
	})
	if err != nil {
		return a.classify(ctx, err, ex, nil), ex.status
	}
	if counted.TotalTokens < 1 { // one word has at least one
		return failed(extract.KindUnavailable, "the answer is none of the model's service: it counts no tokens"), 0
	}
	return nil, ex.status
}

// remedy says what to do about a failed check.
func (a *Analyzer) remedy(status int, f *failure) string {
	key := a.opt.Backend == GeminiAPI || a.opt.Project == ""
	switch {
	case f.kind == extract.KindTimeout:
		return "check the network, the proxy settings and the base URL, or allow more time"
	case status == 0 && f.kind == extract.KindUnavailable:
		return "check the network, the proxy settings and the base URL"
	case status == 0 && f.kind == extract.KindConfig, status == http.StatusUnauthorized,
		status == http.StatusBadRequest && f.kind == extract.KindConfig:
		if key {
			return "check GEMINI_API_KEY (keys: https://aistudio.google.com/apikey)"
		}
		return "run \"gcloud auth application-default login\" again, or check the service account"
	case status == http.StatusForbidden && key:
		return "allow the key to use this API, and check that its project has billing"
	case status == http.StatusForbidden:
		return fmt.Sprintf("enable aiplatform.googleapis.com in project %s and grant the account roles/aiplatform.user", a.opt.Project)
	case status == http.StatusNotFound:
		return "check the base URL, VERTEX_AI_LOCATION and GEMINI_MODEL"
	case status == http.StatusTooManyRequests:
		return "credentials and model are fine, the quota is used up: wait, or ask for more"
	case status >= http.StatusInternalServerError:
		return "the service is in trouble: try again in some minutes, and see https://status.cloud.google.com if it stays so"
	}
	return "check GEMINI_MODEL, the location and the base URL, and what the service says above"
}
