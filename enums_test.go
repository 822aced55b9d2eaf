package evalforge

import "testing"

func TestEnumsValidate(t *testing.T) {
	type validator interface{ Validate() error }
	var all []validator
	for _, v := range FailureTypes() {
		all = append(all, v)
	}
	for _, v := range Severities() {
		all = append(all, v)
	}
	for _, v := range Outcomes() {
		all = append(all, v)
	}
	for _, v := range ErrorTypes() {
		all = append(all, v)
	}
	all = append(all, Scheduled, Manual)
	for _, v := range all {
		if err := v.Validate(); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
	for _, v := range []validator{FailureType(""), FailureType("Toxicity"), Severity("urgent"), Outcome("done"), ErrorType("x"), Trigger("cron")} {
		if v.Validate() == nil {
			t.Errorf("%T %q is accepted", v, v)
		}
	}
}

func TestParseTriggerReadsWhatSchedulersSend(t *testing.T) {
	for in, want := range map[string]Trigger{"": Manual, "manual": Manual, "scheduled": Scheduled, "cloud-scheduler": Scheduled} {
		if got, err := ParseTrigger(in); got != want || err != nil {
			t.Errorf("ParseTrigger(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := ParseTrigger("cron"); err == nil {
		t.Error("an unknown trigger is accepted")
	}
}
