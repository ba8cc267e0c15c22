package nsq

import "testing"

func TestLookupAddress(t *testing.T) {
	const missing = "missing port"
	for _, tt := range []struct {
		addr, lookup, watch string // lookup may be the error
	}{
		{"127.0.0.1:4161", "http://127.0.0.1:4161/lookup?topic=t", "http://127.0.0.1:4161/watch?topic=t"},
		{"lookup:4161", "http://lookup:4161/lookup?topic=t", "http://lookup:4161/watch?topic=t"},
		{":4161", "http://:4161/lookup?topic=t", "http://:4161/watch?topic=t"},
		{"[::1]:4161", "http://[::1]:4161/lookup?topic=t", "http://[::1]:4161/watch?topic=t"},
		{"[fe80::1%eth0]:4161", "http://[fe80::1%25eth0]:4161/lookup?topic=t", "http://[fe80::1%25eth0]:4161/watch?topic=t"},
		{"http://[fe80::1%25eth0]:4161", "http://[fe80::1%25eth0]:4161/lookup?topic=t", "http://[fe80::1%25eth0]:4161/watch?topic=t"},
		{"http://lookup:4161", "http://lookup:4161/lookup?topic=t", "http://lookup:4161/watch?topic=t"},
		{"https://lookup:443/", "https://lookup:443/lookup?topic=t", "https://lookup:443/watch?topic=t"},
		{"http://lookup:4161/lookup", "http://lookup:4161/lookup?topic=t", "http://lookup:4161/watch?topic=t"},
		{"http://lookup:4161/a%2Fb/lookup?x=%20&y#z", "http://lookup:4161/a%2Fb/lookup?x=%20&y&topic=t", "http://lookup:4161/a%2Fb/watch?x=%20&y&topic=t"},
		{"http://lookup:4161/find", "http://lookup:4161/find?topic=t", ""},
		{"http://lookup:4161/lookup/", "http://lookup:4161/lookup/?topic=t", ""},
		{"lookup:4161/find?x=1", "http://lookup:4161/find?x=1&topic=t", ""},
		{"http://me:secret@lookup:4161", "http://me:secret@lookup:4161/lookup?topic=t", "http://me:secret@lookup:4161/watch?topic=t"},
		{"", missing, ""},
		{"lookup", missing, ""},
		{"lookup:", missing, ""},
		{"https://lookup", missing, ""},
		{"[::1]", missing, ""},
		{"http://lookup/p:1", missing, ""},
		{"::1:4161", `parse "http://::1:4161": invalid port "::1:4161" after host`, ""},
		{"lookup:http", `parse "http://lookup:http": invalid port ":http" after host`, ""},
		{"lookup:0", `invalid port "0"`, ""},
		{"lookup:65536", `invalid port "65536"`, ""},
		{"ftp://lookup:21", `scheme "ftp" is neither http nor https`, ""},
		{"a b:1", `parse "http://a b:1": invalid character " " in host name`, ""},
	} {
		a, err := parseLookupAddress(tt.addr, "t")
		if err != nil {
			if err.Error() != tt.lookup {
				t.Errorf("%q: %v, want %s", tt.addr, err, tt.lookup)
			}
			continue
		}
		if a.lookup != tt.lookup || a.watch != tt.watch {
			t.Errorf("%q: %s and %s, want %s and %s", tt.addr, a.lookup, a.watch, tt.lookup, tt.watch)
		}
	}
}

func TestLookupAddressesThatAreTheSame(t *testing.T) {
	key := func(addr string) string {
		a, err := parseLookupAddress(addr, "t#ephemeral")
		if err != nil {
			t.Fatal(err)
		}
		return a.key
	}
	for _, same := range []string{"http://lookup:4161", "LOOKUP:4161", "HTTP://Lookup:4161/", "lookup:4161/lookup"} {
		if key(same) != key("lookup:4161") {
			t.Errorf("%s is %s", same, key(same))
		}
	}
	for _, other := range []string{"https://lookup:4161", "lookup:4162", "lookup:4161/Lookup", "lookup:4161/lookup?x"} {
		if key(other) == key("lookup:4161") {
			t.Errorf("%s is %s", other, key(other))
		}
	}
	a, _ := parseLookupAddress("http://me:secret@lookup:4161/lookup?token=x", "t#ephemeral")
	if a.name != "http://lookup:4161/lookup" {
		t.Errorf("the log names %s", a.name)
	}
	if want := "http://me:secret@lookup:4161/lookup?token=x&topic=t%23ephemeral"; a.lookup != want {
		t.Errorf("asks %s, want %s", a.lookup, want)
	}
}

func TestLookupAddressForAllNSQDs(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:4161":                  "http://127.0.0.1:4161/nodes",
		"https://lookup:443/":             "https://lookup:443/nodes",
		"lookup:4161/lookup?x=1":          "http://lookup:4161/nodes?x=1",
		"http://lookup:4161/nodes":        "http://lookup:4161/nodes",
		"http://lookup:4161/a%2Fb/lookup": "http://lookup:4161/a%2Fb/nodes",
		"http://lookup:4161/find":         "http://lookup:4161/find",
	} {
		a, err := parseLookupAddress(addr, "")
		if err != nil || a.lookup != want || a.watch != "" || a.key != want {
			t.Errorf("%q: %+v, %v, want to ask %s and to watch nothing", addr, a, err, want)
		}
	}
}

func TestLookupNames(t *testing.T) {
	for addr, want := range map[string]bool{
		"lookup:4161":         true,
		"localhost:4161":      true,
		"127.0.0.1:4161":      false,
		"[::1]:4161":          false,
		"[fe80::1%eth0]:4161": false,
		":4161":               false,
	} {
		if a, err := parseLookupAddress(addr, "t"); err != nil || a.isName() != want {
			t.Errorf("%s: %v, %v, want %v", addr, a.isName(), err, want)
		}
	}
}
