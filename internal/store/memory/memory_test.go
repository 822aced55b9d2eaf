package memory

import (
	"context"
	"testing"

	"github.com/evalforge/evalforge"
	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/store/storetest"
)

func TestStore(t *testing.T)     { storetest.Run(t, harness()) }
func TestHistories(t *testing.T) { storetest.RunHistories(t, harness()) }

func harness() storetest.Harness {
	return storetest.Harness{
		Open: func(*testing.T) extract.Store { return New() },
		Ingest: func(t *testing.T, s extract.Store, tr evalforge.RawTrace) {
			if err := s.(*Store).Overwrite(context.Background(), tr); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, s extract.Store, id string) {
			if err := s.(*Store).Remove(context.Background(), id); err != nil {
				t.Fatal(err)
			}
		},
		Malform: func(_ *testing.T, s extract.Store, id string) {
			s.(*Store).records[id].doc = []byte(`{"service_name": 17}`)
		},
	}
}
