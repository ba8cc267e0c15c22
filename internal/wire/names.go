package wire

// MaxNameLen is the longest topic or channel name in bytes, the ephemeral
// suffix included.
const MaxNameLen = 64

const ephemeralSuffix = "#ephemeral"

// ValidName reports whether name may name a topic or a channel: 1 to 64 bytes
// of letters, digits, '.', '_' and '-', optionally followed by "#ephemeral",
// which counts towards the 64 and must follow at least one byte.
func ValidName[T ~string | ~[]byte](name T) bool {
	if len(name) > MaxNameLen {
		return false
	}
	n := len(name)
	if IsEphemeral(name) {
		n -= len(ephemeralSuffix)
	}
	if n == 0 {
		return false
	}
	for i := range n {
		if !nameBytes[name[i]] {
			return false
		}
	}
	return true
}

// IsEphemeral reports whether name ends in "#ephemeral": such a topic or
// channel is never written to disk and goes away with its last user.
func IsEphemeral[T ~string | ~[]byte](name T) bool {
	n := len(name) - len(ephemeralSuffix)
	return n >= 0 && string(name[n:]) == ephemeralSuffix
}

// nameBytes holds true for every byte a name may contain before its suffix.
var nameBytes = func() (ok [256]bool) {
	for _, c := range ".-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		ok[c] = true
	}
	return ok
}()
