package firestore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/genproto/googleapis/type/latlng"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// wrapKey is the only key of the map that stands for a JSON value which a document
// cannot hold as it is: its value is the JSON text. Such are an array directly inside an
// array, what is nested deeper than maxDepth, a number that is neither a 64-bit integer
// nor prints the same as a double, and a map with a key that is empty, over 1,500 bytes or
// of the reserved form __x__ (or that looks like such a stand-in itself).
const wrapKey = "~json"

const (
	// maxDepth bounds the nesting of maps and arrays in a field. Firestore's own limit is
	// 20 levels, the document and a stand-in included.
	maxDepth = 17
	// maxKeyBytes is Firestore's limit for a field name.
	maxKeyBytes = 1500
	// maxDocument is Firestore's limit for a document, in bytes as it counts them.
	maxDocument = 1 << 20
)

// document returns a stored document as Firestore holds it, by way of its JSON text, so
// that field names and layouts are those of every other store. Fields named in doubles are
// floating-point numbers for every reader, even where JSON would say 1.
func document(doc any, doubles ...string) (map[string]any, error) {
	text, err := store.Encode(doc)
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a document must be an object, got %T", v)
	}
	for k, f := range fields {
		if fields[k], err = toFirestore(f, 1); err != nil {
			return nil, fmt.Errorf("field %s: %w", k, err)
		}
	}
	for _, k := range doubles {
		if n, ok := fields[k].(int64); ok {
			fields[k] = float64(n)
		}
	}
	return fields, nil
}

func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// toFirestore returns a JSON value, as parseJSON reads it, as Firestore holds it. Level
// is the number of maps and arrays around it.
func toFirestore(v any, level int) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case []any:
		if level > maxDepth {
			return wrap(v)
		}
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if _, nested := e.([]any); nested {
				list[i], err = wrap(e)
			} else {
				list[i], err = toFirestore(e, level+1)
			}
			if err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if level > maxDepth || !storable(v) {
			return wrap(v)
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			var err error
			if m[k], err = toFirestore(e, level+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return v, nil // a string, a boolean or null
}

func storable(m map[string]any) bool {
	for k := range m {
		reserved := len(k) >= 4 && strings.HasPrefix(k, "__") && strings.HasSuffix(k, "__")
		if k == "" || len(k) > maxKeyBytes || reserved || k == wrapKey && len(m) == 1 {
			return false
		}
	}
	return true
}

func wrap(v any) (any, error) {
	text, err := store.Encode(v)
	return map[string]any{wrapKey: string(text)}, err
}

func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && formatDouble(f) == text {
		return f, nil
	}
	return wrap(json.Number(text))
}

// formatDouble prints f so that it is read as a double again: with a point or an exponent.
func formatDouble(f float64) string {
	b, err := json.Marshal(f)
	if err != nil { // NaN and infinities, which JSON does not have
		return strconv.Quote(strconv.FormatFloat(f, 'g', -1, 64))
	}
	if bytes.ContainsAny(b, ".e") {
		return string(b)
	}
	return string(b) + ".0"
}

// toJSON returns the JSON text of a document that Firestore holds. What JSON does not
// know becomes what readers of these documents expect: a native timestamp is a string in
// the one layout of stored times, bytes are base64, a reference is its path.
func toJSON(fields map[string]any) []byte {
	var b bytes.Buffer
	writeMap(&b, fields, func(k string, v any) {
		// Outside of the payload numbers are Go fields: 3.0, as other writers may store
		// a count, is the integer 3.
		if f, ok := v.(float64); ok && k != "trace_payload" && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			v = int64(f)
		}
		writeJSON(&b, v)
	})
	return b.Bytes()
}

func writeMap(b *bytes.Buffer, m map[string]any, value func(k string, v any)) {
	b.WriteByte('{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(b, k)
		b.WriteByte(':')
		value(k, m[k])
	}
	b.WriteByte('}')
}

func writeJSON(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		writeString(b, v)
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatDouble(v))
	case time.Time:
		writeString(b, evalforge.At(v).String())
	case []byte:
		writeString(b, base64.StdEncoding.EncodeToString(v))
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		if text, ok := v[wrapKey].(string); ok && len(v) == 1 && json.Valid([]byte(text)) {
			b.WriteString(text)
			return
		}
		writeMap(b, v, func(_ string, e any) { writeJSON(b, e) })
	case *latlng.LatLng:
		fmt.Fprintf(b, `{"latitude":%s,"longitude":%s}`, formatDouble(v.GetLatitude()), formatDouble(v.GetLongitude()))
	case *firestore.DocumentRef:
		writeString(b, v.Path)
	default: // vectors, and what later versions of the client may add
		text, err := store.Encode(v)
		if err != nil {
			text = fmt.Appendf(nil, "%q", fmt.Sprintf("%T", v))
		}
		b.Write(text)
	}
}

func writeString(b *bytes.Buffer, s string) {
	text, err := store.Encode(s)
	if err != nil { // strings always encode
		text = []byte(`""`)
	}
	b.Write(text)
}

// checkSize reports a document that is over Firestore's limit, as a failure of kind
// [extract.KindOversize].
func checkSize(path string, fields map[string]any) error {
	size := size(fields) + len(path) + 1 + 16 + 32
	if size <= maxDocument {
		return nil
	}
	return &extract.Error{Kind: extract.KindOversize,
		Err: fmt.Errorf("%s would be %d bytes in Firestore, which stores at most %d per document", path, size, maxDocument)}
}

// size counts bytes as Firestore does.
// https://cloud.google.com/firestore/docs/storage-size
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 1
	case int64, float64, int, time.Time:
		return 8
	case []string:
		n := 0
		for _, e := range v {
			n += len(e) + 1
		}
		return n
	case []any:
		n := 0
		for _, e := range v {
			n += size(e)
		}
		return n
	case map[string]any:
		n := 0
		for k, e := range v {
			n += len(k) + 1 + size(e)
		}
		return n
	}
	return 1 // null, a boolean
}
