package nsqadmin

// An attention is something that an operator should look at.
type attention struct {
	Kind     string   // what rule found it, such as "no-consumers"
	Severity string   // warning or problem
	Text     string   // a sentence
	Advice   string   // what to do about it, "" where that is plain
	Path     []string // of the page that shows more, segment by segment, for the template function url
}

// Severities.
const (
	severityWarning = "warning"
	severityProblem = "problem"
)

// attend looks for what is wrong in a view.
func attend(v *view) []attention { return nil }
