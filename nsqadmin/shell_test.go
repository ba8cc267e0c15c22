package nsqadmin

import "testing"

// Addresses come from whoever registers with nsqlookupd, and operators paste
// what they see.
func TestShellCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"http://a-b.c:4151/ping"}, "curl http://a-b.c:4151/ping"},
		{[]string{"-d", "hello", "http://h/pub?topic=t&x=1"}, "curl -d hello 'http://h/pub?topic=t&x=1'"},
		{[]string{"http://'; rm -rf ~; '/"}, `curl 'http://'\''; rm -rf ~; '\''/'`},
		{[]string{"$(x)`y`"}, "curl '$(x)`y`'"},
		{[]string{""}, "curl ''"},
	} {
		if got := shellCommand("curl", c.args...); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}
