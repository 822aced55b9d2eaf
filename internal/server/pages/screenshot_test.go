package pages_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var screenshots = flag.String("screenshots", "", "write screenshots of every page into this folder")

// shots are the pages that are shown in docs/pages.md.
func shots(w *world) map[string]string {
	return map[string]string{
		"overview": "/", "patterns": "/patterns?severity=high", "pattern": w.patternOf("alternating tool calls repeated without progress"), "runs": "/runs", "run": w.lastRun(), "quarantine": "/quarantine", "waiting": "/waiting",
	}
}

// TestScreenshots writes what docs/pages.md shows:
//
//	go test ./internal/server/pages -run TestScreenshots -screenshots ../../../docs/screenshots
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		return // nobody asked
	}
	browser := startBrowser(t)
	w := newWorld(t, nil)
	w.live()
	for name, path := range shots(w) {
		for _, l := range []look{{width: 1600, theme: "light"}, {width: 400, theme: "light"}, {width: 1600, theme: "dark"}} {
			if l.theme == "dark" && name != "overview" && name != "pattern" {
				continue
			}
			b := newTab(t, browser, w.url, l)
			b.open(path)
			file := filepath.Join(*screenshots, fmt.Sprintf("%s-%d-%s.png", name, l.width, l.theme))
			if err := os.WriteFile(file, shrink(t, b.screenshot()), 0o644); err != nil {
				t.Fatal(err)
			}
			b.close()
		}
	}
}

// maxShotHeight is how much of a long page a screenshot shows, in pixels.
const maxShotHeight = 2300

// shrink returns a screenshot in at most 256 colours: its most frequent ones that are not nearly the same.
func shrink(t *testing.T, shot []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	area := img.Bounds()
	area.Max.Y = min(area.Max.Y, maxShotHeight)
	often := map[color.RGBA]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			c, _ := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			often[c]++
		}
	}
	var colors []color.RGBA
	for c := range often {
		colors = append(colors, c)
	}
	slices.SortFunc(colors, func(a, b color.RGBA) int { return often[b] - often[a] })
	var palette color.Palette
	for _, c := range colors {
		if len(palette) < 256 && (len(palette) == 0 || distant(c, palette[palette.Index(c)])) {
			palette = append(palette, c)
		}
	}
	small := image.NewPaletted(area, palette)
	draw.Draw(small, area, img, area.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func distant(a, b color.Color) bool {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	apart := func(x, y uint32) int { return max(int(x>>8)-int(y>>8), int(y>>8)-int(x>>8)) }
	return apart(ar, br)+apart(ag, bg)+apart(ab, bb) > 12
}
