package redact

import "strings"

// This file finds pairs of a name and a value that are no members of an object: elements of
// an array, or the members "key" and "value".

// maxHeaderBytes bounds the name in a pair that is written as an array.
const maxHeaderBytes = 40

// headerPair looks at the array of two strings at w.pos, ["authorization", "…"], and
// returns what the policy says about the first of them, if the second is a secret by it.
func (w *walk) headerPair() (keyInfo, bool) {
	i := w.pos + 1
	end := nameSet.run(w.in, min(i, len(w.in)), maxHeaderBytes)
	if at(w.in, w.pos) != '"' || end == i || at(w.in, end) != '"' {
		return keyInfo{}, false
	}
	k := end + 1
	for k < len(w.in) && isSpace(w.in[k]) {
		k++
	}
	if at(w.in, k) != ',' {
		return keyInfo{}, false
	}
	for k++; k < len(w.in) && isSpace(w.in[k]); k++ {
	}
	if at(w.in, k) != '"' || classify(w.in[i:end]) == noKey {
		return keyInfo{}, false
	}
	k = stringEnd(w.in, k+1) + 1
	for k < len(w.in) && isSpace(w.in[k]) {
		k++
	}
	info := w.st.r.policy.key(keyInfo{}, w.in[i:end])
	return info, at(w.in, k) == ']' && (info.treatment == always || info.treatment == secretive)
}

// flagged redacts the argument behind flag, a string in an array, if it is one that takes a
// password or a token: ["mysql", "--password", "x"].
func (w *walk) flagged(flag string) error {
	if len(flag) > maxHeaderBytes {
		return nil
	}
	before := w.pos
	if w.space(); at(w.in, w.pos) == ',' {
		w.pos++
		w.space()
	}
	if start := w.pos + 1; at(w.in, w.pos) == '"' {
		v := w.in[start:min(len(w.in), start+headBytes)]
		if flagTakes(flag, v[:stringEnd(v, 0)]) {
			return w.text(keyInfo{treatment: always, kind: Secret})
		}
	}
	w.pos = before
	return nil
}

// nameAfterValue looks behind a string that is the "value" of a pair for the name of
// the pair.
func (w *walk) nameAfterValue() (keyInfo, bool) {
	peek := walk{st: w.st, in: w.in, pos: w.pos, level: w.level}
	if at(peek.in, peek.pos) != '"' {
		return keyInfo{}, false
	}
	if _, err := peek.quoted(); err != nil {
		return keyInfo{}, false
	}
	peek.space()
	if at(peek.in, peek.pos) != ',' {
		return keyInfo{}, false
	}
	peek.pos++
	peek.space()
	rest := peek.in[peek.pos:]
	if !strings.HasPrefix(rest, `"key"`) && !strings.HasPrefix(rest, `"name"`) && !strings.HasPrefix(rest, `"Key"`) && !strings.HasPrefix(rest, `"Name"`) {
		return keyInfo{}, false
	}
	peek.pos += strings.IndexByte(rest[1:], '"') + 2
	peek.space()
	if at(peek.in, peek.pos) != ':' {
		return keyInfo{}, false
	}
	peek.pos++
	peek.space()
	if at(peek.in, peek.pos) != '"' {
		return keyInfo{}, false
	}
	name, err := peek.quoted()
	if err != nil {
		return keyInfo{}, false
	}
	return w.st.key(keyInfo{}, name, w.st.memberKey(name)), true
}

// pairNamed returns what the policy says about the name of a pair, the string at w.in[start].
func (w *walk) pairNamed(start int) (info keyInfo, ok bool, err error) {
	pos := w.pos
	defer func() { w.pos = pos }()
	w.pos = start
	name, err := w.quoted()
	if err != nil {
		return keyInfo{}, false, err
	}
	return w.st.key(keyInfo{}, name, w.st.memberKey(name)), true, nil
}

// mayBePair reports whether a member called key may be one of a pair.
func mayBePair(key string) bool {
	switch len(key) {
	case 3:
		return key == "key" || key == "Key"
	case 4:
		return key == "name" || key == "Name" || key == "text"
	case 5:
		return key == "value" || key == "Value" || key == "label" || key == "field"
	case 7:
		return key == "element" || key == "locator"
	case 8:
		return key == "selector"
	case 12:
		return key == "ParameterKey"
	case 14:
		return key == "ParameterValue"
	}
	return false
}

// paired returns what the policy says about a member of an object, with key and its value
// at w.pos, when the object may be a pair.
//
// In a list of pairs, {"key": "user.name", "value": {"stringValue": …}} as OTLP writes
// attributes, or {"name": "Authorization", "value": …} as HAR writes headers, the value
// is treated as if the pair were a member.
func (w *walk) paired(seen *members, parent, member keyInfo, key string) (keyInfo, error) {
	switch key {
	case "key", "name", "Key", "Name", "ParameterKey":
		if at(w.in, w.pos) != '"' || seen.nameAt > 0 {
			break
		}
		seen.nameAt = w.pos
		if parent.treatment == always && member == parent && key == "key" {
			// The name of a pair inside a value that goes: the name stays.
			return keyInfo{}, nil
		}
		if strings.EqualFold(key, "name") && member.treatment == scan && w.namesPerson(seen) {
			return keyInfo{treatment: always, kind: Name}, nil
		}
	case "selector", "locator", "element", "label", "field":
		if at(w.in, w.pos) == '"' && seen.fieldAt == 0 {
			seen.fieldAt = w.pos
		}
	case "text":
		if member.treatment == scan && w.isTyped(seen) {
			return keyInfo{treatment: always, kind: Secret}, nil
		}
	case "value", "Value", "ParameterValue":
		if member.treatment == scan && w.isTyped(seen) {
			return keyInfo{treatment: always, kind: Secret}, nil
		}
		var err error
		switch {
		case seen.named:
		case seen.nameAt > 0:
			// Few objects with a name have a value: it is read now.
			seen.pair, seen.named, err = w.pairNamed(seen.nameAt)
		default:
			seen.pair, seen.named = w.nameAfterValue()
		}
		if err != nil {
			return keyInfo{}, err
		}
		if seen.named && member.treatment == scan {
			return seen.pair, nil
		}
	}
	return member, nil
}
