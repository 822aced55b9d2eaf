package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// openInput opens a file that an argument names. What says what it is, in errors.
func openInput(what, name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s %s: %w", what, name, err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close()
		return nil, fmt.Errorf("%s %s: is a folder; name the file in it", what, name)
	}
	return f, nil
}
