package main

import (
	"bytes"
	"fmt"
	"strings"
)

// about is what a shell shows beside a flag: the usage up to its first semicolon.
func (f *programFlag) about() string {
	about, _, _ := strings.Cut(f.usage, "; ")
	about = strings.TrimSuffix(about, " (may be given several times)")
	return strings.TrimSuffix(about, ", with commas or given several times")
}

const bashHead = `# Completion of %[1]s for bash. Written by "make generate" from the flags of %[1]s.

_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} flag='' head='' joined='' IFS=$'\n'
	COMPREPLY=()
	if [[ $cur == -*=* ]]; then # where "=" does not part words
		flag=${cur%%%%=*} head=${cur%%%%=*}= cur=${cur#*=} joined=1
	elif [[ $cur == = ]]; then
		flag=${COMP_WORDS[COMP_CWORD-1]} cur='' joined=1
	elif ((COMP_CWORD > 2)) && [[ ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then
		flag=${COMP_WORDS[COMP_CWORD-2]} joined=1
	elif ((COMP_CWORD > 1)); then
		flag=${COMP_WORDS[COMP_CWORD-1]}
	fi
	if [[ $flag == -* ]]; then
		flag=${flag#-}
		case $joined:${flag#-} in
`

const bashTail = `		esac
	fi
	[[ -z $cur || $cur == -* ]] || return
	local dashes=-- name=${cur#-}
	[[ $cur == -?* && $cur != --* ]] && dashes=-
	COMPREPLY=($(compgen -P "$dashes" -W '%[2]s' -- "${name#-}"))
	if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace 2>/dev/null
	fi
}
complete -F _%[1]s %[1]s
`

// bashCompletion also works with bash 3.2, as macOS has it, where compopt is not
// to be had.
func bashCompletion(p *program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, bashHead, p.name)
	var names, kinds []string
	patterns := map[string][]string{} // of flags, by what completes their values
	for _, f := range p.flags {
		name, pattern := f.name+"=", "*:"+f.name
		if f.value == "" { // which must be joined to it
			name, pattern = f.name, "1:"+f.name
		}
		names = append(names, name)
		kind := bashValues(f)
		if patterns[kind] == nil {
			kinds = append(kinds, kind)
		}
		patterns[kind] = append(patterns[kind], pattern)
	}
	for _, kind := range kinds {
		fmt.Fprintf(&b, "\t\t%s)\n%s\t\t\treturn\n\t\t\t;;\n", strings.Join(patterns[kind], " | "), kind)
	}
	fmt.Fprintf(&b, bashTail, p.name, strings.Join(names, "\n"))
	return b.Bytes()
}

// bashValues is what completes the value of a flag; "" where nothing can.
func bashValues(f programFlag) string {
	option, filenames := "", ""
	switch {
	case f.isPath():
		option, filenames = "-"+f.words[0][:1], "\t\t\tcompopt -o filenames 2>/dev/null\n"
	case len(f.words) > 0:
		option = "-W '" + strings.Join(f.words, "\n") + "'"
	default:
		return ""
	}
	return "\t\t\tCOMPREPLY=($(compgen -P \"$head\" " + option + " -- \"$cur\"))\n" + filenames
}

func zshCompletion(p *program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#compdef %s\n# Written by \"make generate\" from the flags of %[1]s.\n\n_arguments", p.name)
	for _, f := range p.flags {
		spec := "--" + f.name
		if f.list() {
			spec = "*" + spec
		}
		about := "[" + zshText(f.about()) + "]"
		switch {
		case f.value == "": // the value is optional, and joined to the flag
			spec += "=-" + about + "::value:(" + strings.Join(f.words, " ") + ")"
		case f.isPath() && f.words[0] == "file":
			spec += "=" + about + ":file:_files"
		case f.isPath():
			spec += "=" + about + ":directory:_files -/"
		default:
			spec += "=" + about + ":" + zshText(f.value) + ":"
			if len(f.words) > 0 {
				spec += "(" + strings.Join(f.words, " ") + ")"
			}
		}
		fmt.Fprintf(&b, " \\\n\t'%s'", strings.ReplaceAll(spec, "'", `'\''`))
	}
	b.WriteByte('\n')
	return b.Bytes()
}

var zshEscape = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`)

func zshText(text string) string { return zshEscape.Replace(text) }

func fishCompletion(p *program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Completion of %s for fish. Written by \"make generate\" from the flags of %[1]s.\n\ncomplete -c %[1]s -f\n", p.name)
	for _, f := range p.flags {
		fmt.Fprintf(&b, "complete -c %s -l %s -o %[2]s", p.name, f.name)
		switch {
		case f.value == "":
		case f.isPath() && f.words[0] == "file":
			b.WriteString(" -r -F")
		case f.isPath():
			b.WriteString(" -x -a '(__fish_complete_directories)'")
		case len(f.words) > 0:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(f.words, " "))
		default:
			b.WriteString(" -x")
		}
		fmt.Fprintf(&b, " -d '%s'\n", fishEscape.Replace(f.about()))
	}
	return b.Bytes()
}

var fishEscape = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
