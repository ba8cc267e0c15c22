package wire

import (
	"regexp"
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"orders":       true,
		"a":            true,
		".":            true,
		"..":           true,
		"-":            true,
		"_":            true,
		"0":            true,
		"Az09._-":      true,
		"a#ephemeral":  true,
		".#ephemeral":  true,
		"ephemeral":    true,
		"a-#ephemeral": true,

		strings.Repeat("x", 63): true,
		strings.Repeat("x", 64): true,
		strings.Repeat("x", 65): false,

		// The suffix counts: at most 54 bytes before it.
		strings.Repeat("x", 54) + "#ephemeral": true,
		strings.Repeat("x", 55) + "#ephemeral": false,

		"":                      false,
		"#":                     false,
		"#ephemeral":            false, // nothing before the suffix
		"a#ephemera":            false,
		"a#ephemerals":          false,
		"a#Ephemeral":           false,
		"a#ephemeral ":          false,
		"a#ephemeral#ephemeral": false,
		"##ephemeral":           false,
		"a#b":                   false,
		"a b":                   false,
		" a":                    false,
		"a\n":                   false,
		"a#ephemeral\n":         false,
		"a\r":                   false,
		"a\x00":                 false,
		"a/b":                   false,
		"a:b":                   false,
		"a@b":                   false,
		"a[b":                   false,
		"a`b":                   false,
		"a{b":                   false,
		"a,b":                   false,
		"*":                     false,
		"caf\u00e9":             false,
		"a\xff":                 false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v, want %v", name, got, want)
		}
		if got := ValidName([]byte(name)); got != want {
			t.Errorf("ValidName([]byte(%q)) = %v, want %v", name, got, want)
		}
	}
}

func TestIsEphemeral(t *testing.T) {
	for name, want := range map[string]bool{
		"orders#ephemeral":  true,
		"#ephemeral":        true, // if not a valid name
		"ephemeral":         false,
		"orders":            false,
		"orders#ephemeral2": false,
		"":                  false,
	} {
		if got := IsEphemeral(name); got != want {
			t.Errorf("IsEphemeral(%q) = %v, want %v", name, got, want)
		}
		if got := IsEphemeral([]byte(name)); got != want {
			t.Errorf("IsEphemeral([]byte(%q)) = %v, want %v", name, got, want)
		}
	}
}

func FuzzValidName(f *testing.F) {
	f.Add("orders")
	f.Add("orders#ephemeral")
	f.Add("#ephemeral")
	f.Add("a#ephemeral#ephemeral")
	f.Add("a\n")
	f.Add(strings.Repeat("x", 64))
	f.Add(strings.Repeat("x", 65))
	f.Add(strings.Repeat("x", 54) + "#ephemeral")
	f.Add(strings.Repeat("x", 55) + "#ephemeral")
	pattern := regexp.MustCompile(`^[.a-zA-Z0-9_-]+(#ephemeral)?$`)
	f.Fuzz(func(t *testing.T, name string) {
		want := len(name) >= 1 && len(name) <= 64 && pattern.MatchString(name)
		if got := ValidName(name); got != want {
			t.Fatalf("ValidName(%q) = %v, want %v", name, got, want)
		}
		if got := ValidName([]byte(name)); got != want {
			t.Fatalf("ValidName([]byte(%q)) = %v, want %v", name, got, want)
		}
		if got, want := IsEphemeral(name), strings.HasSuffix(name, "#ephemeral"); got != want {
			t.Fatalf("IsEphemeral(%q) = %v, want %v", name, got, want)
		}
	})
}
