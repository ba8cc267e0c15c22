package interop_test

// What Config.Set does otherwise on purpose, by option, type and value.
var setDifferences = []difference{
	{`.* = .*`, `failed to coerce option .* - invalid value type(?:, TlsConfig .*)?`, `failed to coerce option .* - invalid value type .+`,
		"the error names the type"},
	{` = .*`, `.*`, `invalid option `, "the empty name stands for an unexported field of go-nsq"},

	// Values that are taken for something else, or not looked at.
	{`.* = (?:u?int64|int) -?\d{19,}`, `.*`, `failed to coerce option .* - value out of range`, "a number that does not fit is not cut to size"},
	{`(?:max_attempts|sample_rate) = .*`, `<nil>, .*`, `invalid \w+ ! \d+ > \d+`, "likewise"},
	{`max_attempts = .* -\d+`, `<nil>, .*`, `invalid max_attempts ! -\d+ < 0`, "likewise"},
	{`lookupd_poll_jitter = float64 NaN`, `<nil>, .*`, `invalid \w+ ! NaN < 0`, "likewise"},
	{`sample_rate = int(?:64)? -?\d{19}`, `.*`, `invalid sample_rate ! .*`, "likewise"},
	{`max_attempts = string .*`, `failed to coerce option .* - strconv\.ParseUint: .*`, `failed to coerce option .* - strconv\.ParseInt: .*|invalid max_attempts ! -\d+ < 0`,
		"all integers are read alike"},
	{`.* = .*`, `<nil>, \w+ ".*%!s\(.*"`, `<nil>, \w+ ".*"`, "no traces of a bad format"},

	// Panics are errors, and an error changes nothing.
	{`(?:local_addr|backoff_strategy|tls_config) = .*`, `panic: .*`, `failed to coerce option \w+ .*`, "an error, no panic"},
	{`(?:local_addr|backoff_strategy|tls_config) = <nil> <nil>`, `panic: .*`, `<nil>`, "nil is the default"},
	{`tls_(?:cert|key) = .*`, `panic: .*`, `failed to coerce option \w+ .* - invalid value type .*`, "an error, no panic"},
	{`tls.* = .*`, `ERROR: .* is not a string, TlsConfig .*`, `failed to coerce option .* - invalid value type .*`, "the text is that of other options"},
	{`tls.* = .*`, `.*: (?:invalid syntax|is not a tls version), TlsConfig .*`, `.*: (?:invalid syntax|is not a tls version)`, "an error changes nothing"},
	{`tls_min_version = .*`, `ERROR: .* is not a tls version, TlsConfig .*`, `ERROR: .* is not a tls version`, "an error changes nothing"},
	{`tls.root.ca.file = .*`, `ERROR: failed to read custom Certificate Authority file open .*, TlsConfig .*`, `open .*`, "an error changes nothing; the text says the same"},
	{`tls.root.ca.file = .*`, `ERROR: failed to append certificates from .*, TlsConfig .*`, `failed to append certificate to pool \(.*\)`, "likewise, and it names the file"},

	// TLS of today.
	{`tls.* = .*`, `<nil>, TlsConfig TLS from TLS 1\.0 to TLS 1\.2, .*`, `<nil>, TlsConfig TLS from TLS 1\.2 to 0x0000, .*`, "TLS 1.2 or later, unless the program says otherwise"},
	{`tls_min_version = string tls1\.[012]`, `<nil>, TlsConfig TLS from (.*) to TLS 1\.2, .*`, `<nil>, TlsConfig TLS from (.*) to 0x0000, .*`, "no upper limit"},
	{`tls_min_version = string (?:tls1\.3|TLS1\.2)`, `ERROR: .* is not a tls version, .*`, `<nil>, TlsConfig TLS from .*`, "it is one"},
	{`tls_min_version = string ssl3\.0`, `<nil>, .*`, `ERROR: ssl3\.0 is not secure and not supported; .*`, "Go has no SSL 3.0"},
}

// What several calls of Config.Set do otherwise on purpose.
var sequenceDifferences = []difference{
	{`everything`, `.*; <nil>, TlsConfig TLS, [^;]*; <nil>`, `.*; <nil>; <nil>`, "the lowest version is TLS 1.2 before it is set"},
	{`key is no key`, `.*tls: found a certificate rather than a key.*; <nil>`, `.*tls: found a certificate rather than a key.* \(DIR/client\.crt with key DIR/client\.crt\); <nil>`,
		"the error names the files"},
}

// What Validate does otherwise on purpose.
var validateDifferences = []difference{}
