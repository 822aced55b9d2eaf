package trace

import (
	"bytes"
	"math"
	"unicode/utf8"

	logscollector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// MaxOTLPValues bounds the messages of a request in protobuf, and the values of one in JSON. A
// Collector's batch of 8,192 spans has some 500,000.
const MaxOTLPValues = 2 << 20

// OTLPFits reports whether the body of a request has at most [MaxOTLPValues] values. It finds
// that out without decoding it: one of a few KiB, gzipped, may hold millions of empty
// messages, each of which takes a hundred bytes and more once it is decoded.
func OTLPFits(body []byte, protobuf, logs bool) bool {
	if len(body) <= MaxOTLPValues {
		return true
	}
	if !protobuf {
		return jsonFits(body)
	}
	w := wireWalk{left: MaxOTLPValues}
	w.walk(body, otlpRequest(logs), 0)
	return w.left >= 0
}

func otlpRequest(logs bool) protoreflect.MessageDescriptor {
	if logs {
		return (*logscollector.ExportLogsServiceRequest)(nil).ProtoReflect().Descriptor()
	}
	return (*tracecollector.ExportTraceServiceRequest)(nil).ProtoReflect().Descriptor()
}

// unmarshalOTLP decodes a request into m. Where strings are no UTF-8, which emitters that cut
// texts by bytes send and Collectors pass on, each wrong byte becomes a question mark: the
// spans beside it are not lost.
func unmarshalOTLP(body []byte, m proto.Message) error {
	err := proto.Unmarshal(body, m)
	if err == nil {
		return nil
	}
	body = bytes.Clone(body)
	w := wireWalk{left: math.MaxInt, mend: true}
	if w.walk(body, m.ProtoReflect().Descriptor(), 0); !w.mended {
		return err
	}
	return proto.Unmarshal(body, m)
}

// A wireWalk is one pass over the fields of a message that is not decoded.
type wireWalk struct {
	left   int  // messages that may still come
	mend   bool // put question marks for what is no UTF-8 in strings
	mended bool
}

// maxWireDepth bounds how deep messages nest, as proto.Unmarshal does.
const maxWireDepth = 10_000

// walk goes through b, a message of type desc, up to what is malformed.
func (w *wireWalk) walk(b []byte, desc protoreflect.MessageDescriptor, depth int) {
	for len(b) > 0 && w.left >= 0 && depth < maxWireDepth {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return
		}
		field := desc.Fields().ByNumber(num)
		if kind == protowire.BytesType && field != nil {
			v, _ := protowire.ConsumeBytes(b)
			switch field.Kind() {
			case protoreflect.MessageKind:
				w.left--
				w.walk(v, field.Message(), depth+1)
			case protoreflect.StringKind:
				if w.mend && !utf8.Valid(v) {
					w.mended = true
					mendUTF8(v)
				}
			}
		}
		b = b[n:]
	}
}

// mendUTF8 replaces each byte of b that is not part of a rune.
func mendUTF8(b []byte) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			b[i] = '?'
		}
		i += n
	}
}

// jsonFits reports whether body, JSON, has at most [MaxOTLPValues] values.
func jsonFits(body []byte) bool {
	left, quoted := MaxOTLPValues, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{', c == '[', c == ',':
			if left--; left < 0 {
				return false
			}
		}
	}
	return true
}
