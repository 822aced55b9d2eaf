package trace

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shared are the files that define what several decoders are made of. What the others
// define is one format's own.
var shared = []string{
	"builder.go", "bedrock.go", "chat.go", "dialect.go", "failure.go", "gather.go", "gemini.go", "json.go", "jsonstring.go", "keys.go", "langchain.go", "logs.go", "memo.go", "message.go",
	"otlp.go", "otlpvalue.go", "pydantic.go", "python.go", "responses.go", "span.go", "spans.go", "stream.go", "trace.go", "tree.go", "unfinished.go", "value.go", "verdict.go",
}

// What is particular to a format is in its decoder's file: nothing else but the line that
// registers it uses what that file defines, so that a new format is one file and one line.
func TestFormatsStayInTheirFiles(t *testing.T) {
	fset := token.NewFileSet()
	files := make(map[string]*ast.File)
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no source files: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if files[name], err = goparser.ParseFile(fset, name, src, goparser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	home := make(map[string]string) // by name of a function, variable or type
	for name, f := range files {
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil { // names of methods need not be unique
					home[d.Name.Name] = name
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						home[s.Name.Name] = name
					case *ast.ValueSpec:
						for _, id := range s.Names {
							home[id.Name] = name
						}
					}
				}
			}
		}
	}
	// The decoders' own files are those of the functions that are registered.
	own := make(map[string]bool)
	registered := make(map[ast.Node]bool)
	for _, in := range []string{"decode.go", "dialect.go"} {
		ast.Inspect(files[in], func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if a, ok := lit.Type.(*ast.ArrayType); !ok || !isIdent(a.Elt, "decoder") && !isIdent(a.Elt, "dialect") {
				return true
			}
			ast.Inspect(lit, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					registered[id] = true
					if file := home[id.Name]; file != "" && !slices.Contains(shared, file) && file != in {
						own[file] = true
					}
				}
				return true
			})
			return false
		})
	}
	if len(own) < 12 {
		t.Errorf("only %d files of decoders were found", len(own))
	}
	for name, f := range files {
		if own[name] || name == "normalwrite.go" {
			continue // a dialect may build on another, and what is read was written
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if file := home[id.Name]; own[file] && file != name && !registered[id] {
					t.Errorf("%s uses %s of %s", fset.Position(id.Pos()), id.Name, file)
				}
			}
			return true
		})
	}
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
