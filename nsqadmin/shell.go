package nsqadmin

import "strings"

// shellCommand returns a command to paste into a shell. What it is made of may
// come from anybody.
func shellCommand(name string, args ...string) string {
	for _, arg := range args {
		if arg == "" || strings.ContainsFunc(arg, needsQuotes) {
			arg = shellQuote(arg)
		}
		name += " " + arg
	}
	return name
}

func needsQuotes(c rune) bool {
	return !strings.ContainsRune("-_./:=", c) && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
}

// shellQuote makes text one word of a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
