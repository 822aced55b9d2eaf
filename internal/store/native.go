package store

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// This file says how a JSON document becomes native values of a document store, Firestore,
// and what they take there. It is not in that store's package because imports must know
// beforehand what any store can hold.

// WrapKey is the only key of the map that stands for a JSON value which a document
// cannot hold as it is: its value is the JSON text. Such are an array directly inside an
// array, what is nested deeper than maxNativeDepth, a number that is neither a 64-bit integer
// nor prints the same as a double, and a map with a key that is empty, over 1,500 bytes or
// of the reserved form __x__ (or that looks like such a stand-in itself).
const WrapKey = "~json"

const (
	// maxNativeDepth bounds the nesting of maps and arrays in a field. Firestore's own limit is
	// 20 levels, the document and a stand-in included.
	maxNativeDepth = 17
	// maxNativeKey is Firestore's limit for a field name.
	maxNativeKey = 1500
	// MaxNative is Firestore's limit for a document, in bytes as it counts them.
	MaxNative = 1 << 20
)

// ParseNative reads a JSON document with its numbers as they are written, for [Native].
func ParseNative(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// Native returns a JSON value, as ParseNative reads it, as Firestore holds it. Level
// is the number of maps and arrays around it.
func Native(v any, level int) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case []any:
		if level > maxNativeDepth {
			return wrap(v)
		}
		list := make([]any, len(v))
		for i, e := range v {
			var err error
			if _, nested := e.([]any); nested {
				list[i], err = wrap(e)
			} else {
				list[i], err = Native(e, level+1)
			}
			if err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if level > maxNativeDepth || !storable(v) {
			return wrap(v)
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			var err error
			if m[k], err = Native(e, level+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return v, nil // a string, a boolean or null
}

func storable(m map[string]any) bool {
	for k := range m {
		if !storableKey(k) || k == WrapKey && len(m) == 1 {
			return false
		}
	}
	return true
}

func storableKey(k string) bool {
	reserved := len(k) >= 4 && strings.HasPrefix(k, "__") && strings.HasSuffix(k, "__")
	return k != "" && len(k) <= maxNativeKey && !reserved
}

func wrap(v any) (any, error) {
	text, err := Encode(v)
	return map[string]any{WrapKey: string(text)}, err
}

func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && FormatDouble(f) == text {
		return f, nil
	}
	return wrap(json.Number(text))
}

// FormatDouble prints f so that it is read as a double again: with a point or an exponent.
func FormatDouble(f float64) string {
	b, err := json.Marshal(f)
	if err != nil { // NaN and infinities, which JSON does not have
		return strconv.Quote(strconv.FormatFloat(f, 'g', -1, 64))
	}
	if bytes.ContainsAny(b, ".e") {
		return string(b)
	}
	return string(b) + ".0"
}

// NativeSize counts the bytes of a native value as Firestore does.
// https://cloud.google.com/firestore/docs/storage-size
func NativeSize(v any) int {
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
			n += NativeSize(e)
		}
		return n
	case map[string]any:
		n := 0
		for k, e := range v {
			n += len(k) + 1 + NativeSize(e)
		}
		return n
	}
	return 1 // null, a boolean
}
