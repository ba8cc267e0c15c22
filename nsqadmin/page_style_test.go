package nsqadmin

import (
	"fmt"
	"math"
	"regexp"
	"testing"
)

// Everything is legible in light and in dark: text against what is behind it has
// a contrast of 4.5, lines of charts and edges of fields of 3 (WCAG 2.2, AA).
func TestContrast(t *testing.T) {
	css, err := staticFiles.ReadFile("static/nsqadmin.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := make(map[string][2]string)
	for _, m := range regexp.MustCompile(`--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = [2]string{m[2], m[3]}
	}
	for least, pairs := range map[float64]map[string][]string{
		4.5: {
			"text":    {"page", "panel", "sunk", "hover", "ok-back", "warning-back", "problem-back"},
			"quiet":   {"page", "panel", "sunk", "hover"},
			"accent":  {"page", "panel", "hover", "ok-back", "warning-back", "problem-back"},
			"ok":      {"ok-back", "panel", "page"},
			"warning": {"warning-back", "panel", "page"},
			"problem": {"problem-back", "panel", "page", "hover"},
		},
		3: {
			"edge":    {"page", "panel"},
			"c-depth": {"panel", "hover"}, "c-inflight": {"panel"}, "c-deferred": {"panel"}, "c-publish": {"panel", "hover"}, "c-finish": {"panel"},
		},
	} {
		for front, backs := range pairs {
			for _, back := range backs {
				for i, scheme := range []string{"light", "dark"} {
					if got := contrast(t, colours[front][i], colours[back][i]); got < least {
						t.Errorf("%s on %s, %s: %.2f, want %.1f", front, back, scheme, got, least)
					}
				}
			}
		}
	}
}

// contrast returns the contrast of two colours as WCAG defines it.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	var rgb [3]uint8
	if _, err := fmt.Sscanf(colour, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		t.Fatalf("colour %q: %v", colour, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(rgb[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}
