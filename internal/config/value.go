package config

// Value returns the value of the option that has this key in the file; ok is
// false where there is none. opts points to the struct that was Registered.
func Value(opts any, key string) (value any, ok bool) {
	for _, f := range fieldsOf(opts) {
		if f.key == key {
			return f.value.Interface(), true
		}
	}
	return nil, false
}
