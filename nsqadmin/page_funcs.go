package nsqadmin

import (
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
)

// pageFuncs returns what templates call by name. The base path is "" or begins
// with a slash.
func pageFuncs(basePath string, static func(name string) string) template.FuncMap {
	return template.FuncMap{
		"count":    count,                                         // 1,234
		"several":  chart.Several[int],                            // 1 topic, 1,234 topics
		"rate":     func(v float64) string { return rateText(v) }, // 12.3/s
		"bytes":    func(n any) string { return number(n, chart.Bytes) },
		"duration": chart.Duration, // 1.2 ms
		"nanos":    func(n any) string { return chart.Duration(time.Duration(float(n))) },
		"since":    since,                                                            // 3 min: how long ago that was
		"clock":    chart.Clock,                                                      // 15:04:05
		"instant":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) }, // for <time datetime>
		"url":      func(parts ...any) (string, error) { return link(basePath, parts) },
		"query":    query,
		"static":   static,
		"chart":    chart.Chart.SVG,
		"spark":    chart.Spark,
		"badge":    badge,
		"icon":     icon,
	}
}

// count returns a whole number with its digits in groups.
func count(n any) (string, error) {
	switch v := reflect.ValueOf(n); {
	case v.CanInt():
		return chart.Count(v.Int()), nil
	case v.CanUint():
		return chart.Count(int64(min(v.Uint(), 1<<63-1))), nil
	}
	return "", fmt.Errorf("count of %T", n)
}

// float returns any number as one that may be unknown.
func float(n any) float64 {
	v := reflect.ValueOf(n)
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	return v.Float()
}

func number(n any, unit string) string { return chart.Format(float(n), unit) }

// rateText returns messages per second.
func rateText(perSecond float64) string {
	text := chart.Format(perSecond, "")
	if perSecond != perSecond { // not known
		return text
	}
	return text + "/s"
}

// since tells how long ago t was.
func since(t time.Time) string { return chart.Ago(t, time.Now()) }

// A queryString is the part of a URL behind the question mark.
type queryString string

// query returns a query of names and values in turn.
func query(pairs ...any) (queryString, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("query of %d names and values", len(pairs))
	}
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return queryString(values.Encode()), nil
}

// link returns the URL of a page. Parts are segments of its path, each as it is
// meant: they are escaped here. The last may be a query.
func link(basePath string, parts []any) (string, error) {
	var segments []string
	tail := ""
	for i, part := range parts {
		switch part := part.(type) {
		case string:
			segments = append(segments, url.PathEscape(part))
		case []string:
			for _, s := range part {
				segments = append(segments, url.PathEscape(s))
			}
		case queryString:
			if i != len(parts)-1 {
				return "", fmt.Errorf("url: the query %q is not last", part)
			}
			tail = "?" + string(part)
		default:
			return "", fmt.Errorf("url of %T", part)
		}
	}
	if len(segments) == 0 && basePath != "" {
		return basePath + tail, nil
	}
	return basePath + "/" + strings.Join(segments, "/") + tail, nil
}

// icons are the signs of states, each drawn in a square of 16.
var icons = map[string]string{
	"ok":      `<path d="M3 8.5l3.2 3.2L13 4.8"/>`,
	"warning": `<path d="M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.7v.1"/>`,
	"problem": `<path d="M5 1.8h6L14.2 5v6L11 14.2H5L1.8 11V5zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4"/>`,
	"off":     `<path d="M5.5 3.5v9M10.5 3.5v9"/>`,
	"info":    `<path d="M8 7.2v4.3M8 4.5v.1"/>`,
}

// icon returns the sign of a state. It says nothing: words stand beside it.
func icon(state string) (template.HTML, error) {
	drawing, ok := icons[state]
	if !ok {
		return "", fmt.Errorf("there is no icon %q", state)
	}
	return template.HTML(`<svg class="icon icon-` + state + `" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">` + drawing + `</svg>`), nil
}

// badge returns a state in words with its sign: ok, warning, problem, off for
// what is paused or gone, info.
func badge(state, text string) (template.HTML, error) {
	sign, err := icon(state)
	if err != nil {
		return "", err
	}
	return template.HTML(`<span class="badge `+state+`">`) + sign + template.HTML(template.HTMLEscapeString(text)+`</span>`), nil
}
