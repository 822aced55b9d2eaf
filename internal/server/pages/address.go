package pages

import "net/url"

func patternPath(traceID string) string { return "/patterns/" + url.PathEscape(traceID) }
func runPath(runID string) string       { return "/runs/" + url.PathEscape(runID) }
