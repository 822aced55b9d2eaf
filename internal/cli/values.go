package cli

import (
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evalforge/evalforge/internal/extract"
	"github.com/evalforge/evalforge/internal/gemini"
	"github.com/evalforge/evalforge/internal/redact"
)

func setOneOf(p *string, v string, allowed ...string) error {
	if !slices.Contains(allowed, v) {
		return fmt.Errorf("is none of %s", strings.Join(allowed, ", "))
	}
	*p = v
	return nil
}

func setInt(p *int, v string, lo, hi int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		return fmt.Errorf("is not a whole number from %d to %d", lo, hi)
	}
	*p = n
	return nil
}

func parseFloat(v string, lo, hi float64) (float64, error) {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || f < lo || f > hi {
		return 0, fmt.Errorf("is not a number from %v to %v", lo, hi)
	}
	return f, nil
}

func parseBool(v string) (bool, error) {
	b, err := strconv.ParseBool(strings.ToLower(v))
	if err != nil {
		return false, fmt.Errorf("is neither true nor false")
	}
	return b, nil
}

func setURL(p *string, v string) error {
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("is not an address that begins with http:// or https://")
	}
	*p = v
	return nil
}

// setMoney reads a budget in US dollars.
func setMoney(a *extract.Amount, v string) error {
	usd, err := parseFloat(strings.TrimPrefix(v, "$"), 0.000001, 1_000_000)
	if err != nil {
		return fmt.Errorf("is not an amount in US dollars from 0.000001 to 1000000, such as 5 or 0.25; leave it out for no limit")
	}
	a.NanoUSD = int64(usd * 1e9) // rounded down: a budget is not exceeded
	return nil
}

// setTokens reads a budget in tokens.
func setTokens(a *extract.Amount, v string) error {
	const most = 1_000_000_000_000
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("is not a whole number from 1 to %d; leave it out for no limit", int64(most))
	}
	a.Tokens = n
	return nil
}

func setDuration(p *time.Duration, v string, lo, hi time.Duration) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < lo || d > hi {
		return fmt.Errorf("is not a duration from %s to %s, such as 30m", lo, hi)
	}
	*p = d
	return nil
}

// setAddr checks an address to listen on.
func setAddr(c *config, v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("is no address; write HOST:PORT, such as 127.0.0.1:8080")
	}
	var n int
	if err := setInt(&n, port, 0, 65535); err != nil {
		return fmt.Errorf("has a port that %w", err)
	}
	if strings.ContainsAny(host, "/ ") {
		return fmt.Errorf("has no name of a host before the port; write HOST:PORT, such as 127.0.0.1:8080")
	}
	c.service.addr = v
	return nil
}

func setBackoff(c *config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > time.Hour {
		return fmt.Errorf("is not a duration from 0 to 1h, such as 90s")
	}
	if d == 0 {
		d = -1 // the engine takes 0 for its default
	}
	c.engine.Backoff = d
	return nil
}

// minKeyBytes is the least length of a redaction key: shorter ones can be guessed, and
// with the key the values behind placeholders.
const minKeyBytes = 16

func setRedactionKey(c *config, v string) error {
	key := []byte(v)
	if b, err := hex.DecodeString(v); err == nil {
		key = b
	}
	if len(key) < minKeyBytes {
		return fmt.Errorf("is too short: at least %d hex digits or %d bytes of text are needed", 2*minKeyBytes, minKeyBytes)
	}
	c.redactionKey = key
	return nil
}

// setRedactionRules reads the operator's own rules.
func setRedactionRules(c *config, v string) error {
	data, err := os.ReadFile(v)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	rules, err := redact.ParseRules(data)
	if err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	c.redactionRules = rules
	return nil
}

// setPrices reads the operator's own prices.
func setPrices(c *config, v string) error {
	data, err := os.ReadFile(v)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if c.gemini.prices, err = gemini.ParsePrices(data); err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	return nil
}

func setPhoneRegions(c *config, v string) error {
	regions := fieldsOf(v)
	if err := redact.CheckRegions(regions); err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	c.phoneRegions = regions
	return nil
}

// fieldsOf splits a list that is separated by commas or spaces.
func fieldsOf(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
}
