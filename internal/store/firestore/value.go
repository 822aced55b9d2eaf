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
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/genproto/googleapis/type/latlng"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store"
)

// document returns a stored document as Firestore holds it, by way of its JSON text, so
// that field names and layouts are those of every other store. Fields named in doubles are
// floating-point numbers for every reader, even where JSON would say 1.
func document(doc any, doubles ...string) (map[string]any, error) {
	text, err := store.Encode(doc)
	if err != nil {
		return nil, err
	}
	v, err := store.ParseNative(text)
	if err != nil {
		return nil, err
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a document must be an object, got %T", v)
	}
	for k, f := range fields {
		if fields[k], err = store.Native(f, 1); err != nil {
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
		b.WriteString(store.FormatDouble(v))
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
		if text, ok := v[store.WrapKey].(string); ok && len(v) == 1 && json.Valid([]byte(text)) {
			b.WriteString(text)
			return
		}
		writeMap(b, v, func(_ string, e any) { writeJSON(b, e) })
	case *latlng.LatLng:
		fmt.Fprintf(b, `{"latitude":%s,"longitude":%s}`, store.FormatDouble(v.GetLatitude()), store.FormatDouble(v.GetLongitude()))
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
	size := store.NativeSize(fields) + len(path) + 1 + 16 + 32
	if size <= store.MaxNative {
		return nil
	}
	return &extract.Error{Kind: extract.KindOversize,
		Err: fmt.Errorf("%s would be %d bytes in Firestore, which stores at most %d per document", path, size, store.MaxNative)}
}
