package gemini

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Price is what a model costs, in USD per million tokens. Thoughts are output.
type Price struct {
	Input  float64 `json:"input"`  // not served from the cache
	Cached float64 `json:"cached"` // served from the cache
	Output float64 `json:"output"`
}

// Cost returns the price of one call in USD.
func (p Price) Cost(prompt, cached, output int64) float64 {
	return (float64(prompt-cached)*p.Input + float64(cached)*p.Cached + float64(output)*p.Output) / 1e6
}

// flex returns the price in the Flex tier. The discount for cached input and that of the
// tier are not known to add up, so cached input keeps its price.
func (p Price) flex(factor float64) Price {
	return Price{p.Input * factor, min(p.Cached, p.Input*factor), p.Output * factor}
}

// Prices is a table of prices with its date. The built-in one is prices.json; its rows
// can be replaced by a file of the same form.
type Prices struct {
	AsOf string // YYYY-MM-DD, of the newest part
	// Flex is what the Flex tier costs, as a share of the standard one.
	Flex float64
	rows []priceRow
}

// A priceRow is the price of the models whose id begins with a prefix, from a day on.
type priceRow struct {
	Prefix string `json:"prefix"`
	From   string `json:"from,omitempty"` // YYYY-MM-DD in UTC, or "" for ever
	Price
	from time.Time
}

// UnmarshalJSON reads a row. One that does not say what cached input costs has no discount
// for it: counting it as free would let a budget be overdrawn.
func (r *priceRow) UnmarshalJSON(data []byte) error {
	type plain priceRow // without this method
	row := struct {
		*plain
		Cached *float64 `json:"cached"`
	}{plain: (*plain)(r)}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return err
	}
	r.Cached = r.Input
	if row.Cached != nil {
		r.Cached = *row.Cached
	}
	return nil
}

//go:embed prices.json
var pricesJSON []byte

// defaultPrices reads the embedded file once; that it parses is covered by a test.
var defaultPrices = sync.OnceValue(func() *Prices {
	p, err := parsePrices(pricesJSON)
	if err != nil {
		panic(fmt.Sprintf("gemini: prices.json: %v", err))
	}
	return p
})

// DefaultPrices returns the built-in table.
func DefaultPrices() *Prices { return defaultPrices() }

// ParsePrices reads a table of the form of prices.json and puts its rows in the place of
// the built-in ones with the same prefix, from the day on that the first of them begins.
// Only as_of and models are needed. Its errors name the row.
func ParsePrices(data []byte) (*Prices, error) {
	own, err := parsePrices(data)
	if err != nil {
		return nil, err
	}
	all := *DefaultPrices()
	all.AsOf = own.AsOf
	if own.Flex > 0 {
		all.Flex = own.Flex
	}
	all.rows = slices.DeleteFunc(slices.Clone(all.rows), func(r priceRow) bool {
		return slices.ContainsFunc(own.rows, func(o priceRow) bool { return o.Prefix == r.Prefix && !r.from.Before(o.from) })
	})
	all.rows = append(all.rows, own.rows...)
	return &all, nil
}

func parsePrices(data []byte) (*Prices, error) {
	var doc struct {
		AsOf   string     `json:"as_of"`
		Unit   string     `json:"unit"` // for people
		Flex   float64    `json:"flex"`
		Models []priceRow `json:"models"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("no table of prices: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows after the table")
	}
	if _, err := time.Parse(time.DateOnly, doc.AsOf); err != nil {
		return nil, fmt.Errorf("as_of %q is no date of the form 2026-11-23", doc.AsOf)
	}
	if doc.Flex < 0 || doc.Flex > 1 {
		return nil, fmt.Errorf("flex %v is not between 0 and 1", doc.Flex)
	}
	for i := range doc.Models {
		if err := doc.Models[i].check(); err != nil {
			return nil, fmt.Errorf("models[%d]: %w", i, err)
		}
		same := func(r priceRow) bool { return r.Prefix == doc.Models[i].Prefix && r.from.Equal(doc.Models[i].from) }
		if slices.ContainsFunc(doc.Models[:i], same) {
			return nil, fmt.Errorf("models[%d]: prefix %q has another price from the same day on: keep one of them", i, doc.Models[i].Prefix)
		}
	}
	if len(doc.Models) == 0 {
		return nil, errors.New("there is no model in it")
	}
	return &Prices{doc.AsOf, doc.Flex, doc.Models}, nil
}

// maxPrice bounds a price: what is above is a mistake in the unit.
const maxPrice = 10_000

func (r *priceRow) check() (err error) {
	if r.Prefix == "" || strings.ContainsAny(r.Prefix, "/ ") {
		return fmt.Errorf("prefix %q is no beginning of a model id", r.Prefix)
	}
	if r.From != "" {
		if r.from, err = time.Parse(time.DateOnly, r.From); err != nil {
			return fmt.Errorf("from %q is no date of the form 2026-11-23", r.From)
		}
	}
	for _, x := range []float64{r.Input, r.Cached, r.Output} {
		if !(x >= 0 && x <= maxPrice) || math.IsNaN(x) {
			return fmt.Errorf("%v is no price in USD per million tokens, 0 to %d", x, maxPrice)
		}
	}
	if r.Input == 0 || r.Output == 0 {
		return errors.New("input and output must be above 0")
	}
	if r.Cached > r.Input { // the worst case of a call is that nothing is cached
		return fmt.Errorf("cached input at %v is dearer than other input at %v", r.Cached, r.Input)
	}
	return nil
}

// Of returns the price of a model at a time: of the rows with the longest prefix that
// fits, the newest in force. For a model without a known price it returns the highest
// rates of the table and false, so that a budget errs on the safe side.
func (p *Prices) Of(model string, at time.Time) (Price, bool) {
	model = bareModel(model)
	var best *priceRow
	var dearest Price
	for i := range p.rows {
		r := &p.rows[i]
		dearest = Price{max(dearest.Input, r.Input), max(dearest.Cached, r.Cached), max(dearest.Output, r.Output)}
		if !strings.HasPrefix(model, r.Prefix) || at.Before(r.from) {
			continue
		}
		if best == nil || len(r.Prefix) > len(best.Prefix) || len(r.Prefix) == len(best.Prefix) && !r.from.Before(best.from) {
			best = r
		}
	}
	if best == nil {
		return dearest, false
	}
	return best.Price, true
}

// Dearest returns the highest rates of the table, which are the price of a model that is
// not in it.
func (p *Prices) Dearest() Price {
	price, _ := p.Of("", time.Time{})
	return price
}

// PriceOf returns the price of a model in the built-in table, as [Prices.Of] does.
func PriceOf(model string, at time.Time) (Price, bool) { return DefaultPrices().Of(model, at) }
