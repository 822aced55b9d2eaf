package cli

import (
	"flag"
	"iter"

	"github.com/evalforge/evalforge/internal/extract"
)

// A limitFlag bounds how many items a list command prints.
type limitFlag int

const defaultLimit = 50

func (l *limitFlag) declare(fs *flag.FlagSet, what string) {
	fs.IntVar((*int)(l), "limit", defaultLimit, "List at most `N` "+what+"; 0 lists all.")
}

func (l *limitFlag) check() error {
	if *l < 0 {
		return usagef("", "-limit: %d is not a whole number from 0 (0 lists all)", int(*l))
	}
	return nil
}

// pageByPage yields the items of all pages that get returns.
func pageByPage[T any](q extract.PageQuery, get func(extract.PageQuery) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			list, next, err := get(q)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			q.After = next
		}
	}
}

// writeList prints up to limit items in the call's format; a table has a row for each.
// When there are more, it says so on stderr.
func writeList[T any](c *call, limit limitFlag, items iter.Seq2[T, error], what string, header []string, row func(T) []string) error {
	l := &listWriter{w: c.term.out, format: c.format}
	var rows [][]string
	n, more := 0, false
	for v, err := range items {
		if err != nil {
			return err
		}
		if more = limit > 0 && n == int(limit); more {
			break
		}
		n++
		if c.format == formatTable {
			rows = append(rows, row(v))
		} else if err := l.add(v); err != nil {
			return err
		}
	}
	switch {
	case c.format != formatTable:
		if err := l.end(); err != nil {
			return err
		}
	case n == 0:
		c.term.note("no %s", what)
	default:
		c.term.table(header, rows)
	}
	if more {
		c.term.note("only the first %d %s are listed; -limit N lists more", n, what)
	}
	return nil
}
