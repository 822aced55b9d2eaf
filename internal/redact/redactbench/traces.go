package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/evalforge/evalforge/internal/redact"
)

// corpusBytes is how much is redacted for the speed: small corpora are repeated.
const corpusBytes = 50_000_000

// rounds is how often each speed is measured; the median counts.
const rounds = 5

// traces measures what needs real documents.
func (b *bench) traces(docs [][]byte) error {
	r, err := newRedactor()
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return fmt.Errorf("there are no traces: put .json or .jsonl files into folders beside redaction")
	}
	fmt.Fprintln(b.out, "\n## Traces")
	if err := b.hidden(r, docs); err != nil {
		return err
	}
	if err := b.speed(r, docs); err != nil {
		return err
	}
	if err := b.memory(r, docs); err != nil {
		return err
	}
	return b.repeated(r)
}

// hidden redacts docs twice and lists what was hidden.
func (b *bench) hidden(r *redact.Redactor, docs [][]byte) error {
	counts, total, unstable := redact.Counts{}, 0, 0
	found := make(map[[2]string]*hit)
	for _, doc := range docs {
		out, n, err := r.JSON(doc)
		if err != nil {
			return err
		}
		if !json.Valid(out) {
			return fmt.Errorf("a redacted document is not valid JSON")
		}
		again, _, err := r.JSON(out)
		if err != nil {
			return err
		}
		if !bytes.Equal(out, again) {
			unstable++
		}
		counts.Add(n)
		total += len(doc)
		if b.hits != nil {
			var before, after any
			if err := json.Unmarshal(doc, &before); err != nil {
				return err
			}
			if err := json.Unmarshal(out, &after); err != nil {
				return err
			}
			compare(found, "", before, after)
		}
	}
	b.row("documents", fmt.Sprintf("%d, %.1f MB; a second pass changed %d", len(docs), float64(total)/1e6, unstable), "0", unstable == 0)
	var kinds []string
	for k, n := range counts {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(kinds)
	b.row("values hidden", strings.Join(kinds, ", "), "", true)
	if b.hits == nil {
		return nil
	}
	return b.listHits(found)
}

// listHits writes what was hidden for a person to read: kind by kind, the most frequent
// values first, each with where it stood first.
func (b *bench) listHits(found map[[2]string]*hit) error {
	byKind := make(map[string][][2]string)
	for k := range found {
		byKind[k[0]] = append(byKind[k[0]], k)
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		keys, all := byKind[kind], 0
		for _, k := range keys {
			all += found[k].n
		}
		slices.SortFunc(keys, func(a, c [2]string) int {
			return cmp.Or(found[c].n-found[a].n, strings.Compare(a[1], c[1]))
		})
		if _, err := fmt.Fprintf(b.hits, "## %s: %d distinct values, %d in all\n", kind, len(keys), all); err != nil {
			return err
		}
		for _, k := range keys {
			h := found[k]
			if _, err := fmt.Fprintf(b.hits, "%6d  %-40s  %s\n        %.120q\n", h.n, fmt.Sprintf("%.60q", k[1]), h.path, h.context); err != nil {
				return err
			}
		}
	}
	return nil
}

// A hit is a distinct value that was hidden, and where it was first.
type hit struct {
	n             int
	path, context string
}

var placeholder = regexp.MustCompile(`\[REDACTED:([A-Z_]+):[0-9a-f]{4}\]`)

// compare collects what differs between a document and its redacted form.
func compare(found map[[2]string]*hit, path string, before, after any) {
	switch before := before.(type) {
	case map[string]any:
		after, ok := after.(map[string]any)
		if !ok {
			return
		}
		for k, v := range before {
			if w, ok := after[k]; ok {
				compare(found, path+"."+k, v, w)
			}
		}
	case []any:
		if after, ok := after.([]any); ok && len(after) == len(before) {
			for i := range before {
				compare(found, path, before[i], after[i])
			}
		}
	case string:
		after, ok := after.(string)
		if !ok || before == after {
			return
		}
		var b, a any
		if json.Unmarshal([]byte(before), &b) == nil && json.Unmarshal([]byte(after), &a) == nil {
			compare(found, path+"/json", b, a)
			return
		}
		compareText(found, path, before, after)
	default:
		if s, ok := after.(string); ok {
			compareText(found, path, fmt.Sprint(before), s)
		}
	}
}

// compareText collects what stood in before where after has placeholders.
func compareText(found map[[2]string]*hit, path, before, after string) {
	marks := placeholder.FindAllStringSubmatchIndex(after, -1)
	pos, start := 0, 0
	for i, m := range marks {
		pos += m[0] - start // the text before the placeholder is the same in both
		start = m[1]
		end := len(after)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		next := after[start:end]
		size := len(before) - pos
		if i+1 < len(marks) && next != "" {
			size = strings.Index(before[min(pos, len(before)):], next)
		} else if i+1 == len(marks) {
			size -= len(next)
		}
		if size < 0 || pos+size > len(before) {
			return
		}
		key := [2]string{after[m[2]:m[3]], before[pos : pos+size]}
		h := found[key]
		if h == nil {
			h = &hit{path: path, context: before[max(0, pos-50):min(len(before), pos+size+30)]}
			found[key] = h
		}
		h.n++
		pos += size
	}
}

// cpuTime is the time that this process has computed: wall time on a busy machine says
// little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rate returns how many bytes a second f goes through.
func rate(bytes int, f func() error) (float64, error) {
	start := cpuTime()
	if err := f(); err != nil {
		return 0, err
	}
	return float64(bytes) / max(cpuTime()-start, time.Microsecond).Seconds(), nil
}

// speed measures the redactor, a search for one byte, and a naive redactor on the same
// documents, in turn.
func (b *bench) speed(r *redact.Redactor, docs [][]byte) error {
	total := 0
	var flat, nested [][]byte
	for total < corpusBytes {
		for _, doc := range docs {
			flat = append(flat, doc)
			total += len(doc)
		}
	}
	nestedBytes := 0
	for _, doc := range docs {
		// Each document as OTLP carries it: JSON in an attribute's string.
		outer, err := json.Marshal(map[string]string{"payload": string(doc)})
		if err != nil {
			return err
		}
		nested = append(nested, outer)
		nestedBytes += len(outer)
	}
	redactAll := func(docs [][]byte) func() error {
		return func() error {
			for _, doc := range docs {
				if _, _, err := r.JSON(doc); err != nil {
					return err
				}
			}
			return nil
		}
	}
	const searches = 20 // one search takes less than the clock of the process can tell
	var memchr, ours, json2, naive []float64
	sink := 0
	for round := range rounds {
		v, err := rate(searches*total, func() error {
			for range searches {
				for _, doc := range flat {
					sink += bytes.IndexByte(doc, 0)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		memchr = append(memchr, v)
		if v, err = rate(total, redactAll(flat)); err != nil {
			return err
		}
		ours = append(ours, v)
		if v, err = rate(nestedBytes, redactAll(nested)); err != nil {
			return err
		}
		json2 = append(json2, v)
		if round > 0 {
			continue // the naive one takes minutes
		}
		sample, size := sampleOf(docs, 4_000_000)
		if v, err = rate(size, func() error {
			for _, doc := range sample {
				sink += len(naiveRedact(doc))
			}
			return nil
		}); err != nil {
			return err
		}
		naive = append(naive, v)
	}
	runtime.KeepAlive(sink)
	m, o, j, n := median(memchr), median(ours), median(json2), median(naive)
	b.row("speed of IndexByte", fmt.Sprintf("%.0f MB/s", m/1e6), "", true)
	b.row("speed, flat", fmt.Sprintf("%.1f MB/s over %.0f MB; 1/%.0f of IndexByte", o/1e6, float64(total)/1e6, m/o), ">= 1/200", o*200 >= m)
	b.row("speed, against the naive redactor", fmt.Sprintf("%.2f MB/s; %.0f times", n/1e6, o/n), ">= 60 times", o >= 60*n)
	b.row("speed, JSON in JSON", fmt.Sprintf("%.1f MB/s; %.2f of flat", j/1e6, j/o), ">= 0.50", j >= o/2)
	return nil
}

// sampleOf returns documents of about size bytes in all, from the whole of docs.
func sampleOf(docs [][]byte, size int) (sample [][]byte, total int) {
	all := 0
	for _, doc := range docs {
		all += len(doc)
	}
	step := max(1, all/size)
	for i := 0; i < len(docs); i += step {
		sample = append(sample, docs[i])
		total += len(docs[i])
	}
	return sample, total
}

func median(v []float64) float64 {
	v = slices.SortedFunc(slices.Values(v), cmp.Compare[float64])
	return v[len(v)/2]
}

// memory measures what one document costs: what is allocated while it is redacted is an
// upper bound of what is held at a time.
func (b *bench) memory(r *redact.Redactor, docs [][]byte) error {
	measure := func(doc []byte) (allocated uint64, objects uint64, err error) {
		for range 2 { // the second time buffers have their size
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, _, err := r.JSON(doc); err != nil {
				return 0, 0, err
			}
			runtime.ReadMemStats(&after)
			allocated, objects = after.TotalAlloc-before.TotalAlloc, after.Mallocs-before.Mallocs
		}
		return allocated, objects, nil
	}
	largest := slices.MaxFunc(docs, func(a, c []byte) int { return len(a) - len(c) })
	clean, err := json.Marshal(map[string]string{"content": strings.Repeat("Nothing to hide in this line.\n", 1<<20/31)})
	if err != nil {
		return err
	}
	nested, err := json.Marshal(map[string]string{"payload": string(largest)})
	if err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		doc  []byte
	}{{"memory, the largest trace", largest}, {"memory, the same in a string", nested}, {"memory, nothing to hide", clean}} {
		allocated, objects, err := measure(d.doc)
		if err != nil {
			return err
		}
		limit := uint64(2*len(d.doc) + 4<<20)
		b.row(d.name, fmt.Sprintf("%.2f MB allocated (%d objects) for %.2f MB", float64(allocated)/1e6, objects, float64(len(d.doc))/1e6), "<= 2x + 4 MiB", allocated <= limit)
	}
	return nil
}

// repeated measures texts of 1 MB made of one unit, and of twice that.
func (b *bench) repeated(r *redact.Redactor) error {
	const size = 1 << 20
	type slow struct {
		name string
		took time.Duration
		grow float64
	}
	var all []slow
	cost := func(unit string, size int, asJSON bool) (time.Duration, error) {
		text := strings.Repeat(unit, size/len(unit))
		doc, err := json.Marshal(text)
		if err != nil {
			return 0, err
		}
		best := time.Duration(1 << 62)
		for range 3 {
			start := cpuTime()
			if asJSON {
				if _, _, err := r.JSON(doc); err != nil {
					return 0, err
				}
			} else {
				r.Text(text)
			}
			best = min(best, cpuTime()-start)
		}
		return best, nil
	}
	for _, unit := range units() {
		for _, asJSON := range []bool{false, true} {
			once, err := cost(unit, size, asJSON)
			if err != nil {
				return err
			}
			twice, err := cost(unit, 2*size, asJSON)
			if err != nil {
				return err
			}
			form := "text"
			if asJSON {
				form = "JSON"
			}
			all = append(all, slow{fmt.Sprintf("%.24q %s", unit, form), once, float64(twice) / float64(max(once, 5*time.Millisecond))})
		}
	}
	slices.SortFunc(all, func(a, c slow) int { return cmp.Compare(c.took, a.took) })
	fmt.Fprintf(b.out, "\n## %d texts of 1 MB of one unit, the slowest first; growth when doubled\n", len(all))
	for i, s := range all {
		ok := s.took <= 50*time.Millisecond && s.grow < 3
		if i >= 5 && ok {
			continue
		}
		b.row(s.name, fmt.Sprintf("%.1f ms, %.1f times", s.took.Seconds()*1e3, s.grow), "<= 50 ms", ok)
	}
	return nil
}

// units are what hostile texts are made of: each makes a scanner look back or ahead.
func units() []string {
	return []string{
		"@", "a@", "@a", ".a@", "a.", "a%40", "%40", "key:", "key=", "token=x ", "token=", "token=tok", `password="`, "password='", "password=",
		"eyJ", "eyJ.", "eyJaaaaaaaaaaaa.", "sk-", "sk-a1", "_sk-", "ghp_", "-----BEGIN ", "-----BEGIN " + "PRIVATE KEY-----", "-----", "--token ",
		"--token a", "--user ", "-u ", "curl -u ", "://", "a://b:c@", "://a:", "1 ", "1-", "1.", "1.1.", "415-", "415-555-0132", "415-555-0132 ",
		"+1", "+", "(", "(4", "((415)", ":", "a:", "::", "1:", "ab:", "=", "Cookie: ", "cookie: a=", "Cookie: a=b ", "Authorization: ",
		"authorization: basic ", "Bearer ", "bearer a1b2c3d4 ", "DE89", "DE89 ", "GB", "[REDACTED:", "[REDACTED:EMAIL:abcd]",
		"[REDACTED:EMAIL:abcd]a@", `\`, `\n`, `A`, `{"`, "[", `"`, `{"a":`, `["`, "a@b.co ", "123456789 ", "4111111111111111 ", "4111 ",
		"10.0.0.1 ", "00-", "aa-", "aaaa.", "_", "a_", "<token>", `"token", "`, "https://hooks.slack.com/services/", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa ",
		"A", "é", "\x80", "\u4e2d", "0", "9", `name": "`, `"first_name": "`, `\"password\": \"`, "phone 1234567 ", "ssn 123456789 ", "s.", "a-",
		"key ", "key 1 ", "password ", "password is ", "is as the password ", "пароль ", "密码", "code 1234 is your code ", "identified by ", "env A ",
		"mnemonic a ", "my name is A", "birth 1 ", "live at 1 A ", "passport 1 ", " -p", "mysql -p", "$2b$", "f(\"", "auth(\"a\",", "Private-Lines: 1",
		"{\"a\":1}", "{\"a\":\"{", "<password ", "api|", "license ", "$", "ann:hunter22",
		"a=b&key=", "a1B2c3D4e5F6g7H8i9J0 ", "a1B2c3D4e5F6g7H8i9J0", "id a1B2c3D4e5F6g7H8i9J0k1 ", "secret key token password ", "twilio ", "0400 123 456 ", "heroku=", `{"name": "Mia", "x": "Mia"}`,
		"token%3D", "%2525", "token%253Dx", "%20", "name: token\nvalue: b\n", "value:", "password,b\n", "password,", "| ssn |\n", "(a,password) values (", "ann (at) ",
		"a(at)b.", "a at b dot c ", "&#64;", "jwt.sign(", "echo a | sudo -S ", "net use /user:a b ", "machine login password 1 ", "he was born ",
		"otp codes 1234 1234 ", `"name":"A B",`, "Mia <mia@x.co> ", "token=from(\"", "密码改成", "ị",
	}
}
