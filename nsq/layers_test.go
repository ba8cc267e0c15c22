package nsq_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqd"
)

// startTLS runs an nsqd with a certificate of the authority.
func startTLS(t *testing.T, ca certstest.CA, change func(*nsqd.Options)) *nsqtest.NSQD {
	t.Helper()
	opts := nsqtest.Options(t)
	opts.MaxDeflateLevel = 9
	opts.TLSCert, opts.TLSKey = ca.Issue(t).Write(t, t.TempDir(), "server")
	if change != nil {
		change(opts)
	}
	return nsqtest.Start(t, opts)
}

// layersOf returns the layers of every client that nsqd has.
func layersOf(t *testing.T, d *nsqtest.NSQD) (layers []string) {
	t.Helper()
	resp, err := http.Get(d.HTTPURL() + "/stats?format=json")
	must(t, err)
	defer resp.Body.Close()
	type client struct {
		TLS        bool   `json:"tls"`
		TLSVersion string `json:"tls_version"`
		Snappy     bool   `json:"snappy"`
		Deflate    bool   `json:"deflate"`
	}
	var stats struct {
		Topics []struct {
			Channels []struct {
				Clients []client `json:"clients"`
			} `json:"channels"`
		} `json:"topics"`
		Producers []client `json:"producers"`
	}
	must(t, json.NewDecoder(resp.Body).Decode(&stats))
	clients := stats.Producers
	for _, topic := range stats.Topics {
		for _, channel := range topic.Channels {
			clients = append(clients, channel.Clients...)
		}
	}
	for _, c := range clients {
		layers = append(layers, fmt.Sprintf("TLS %v %s, deflate %v, snappy %v", c.TLS, c.TLSVersion, c.Deflate, c.Snappy))
	}
	return layers
}

// variedBodies returns messages that differ in size and in how well they can be
// compressed; each begins with its number.
func variedBodies(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	bodies := make([][]byte, n)
	for i := range bodies {
		size := 4 + rng.IntN(300)
		if i%50 == 0 {
			size += rng.IntN(200 << 10)
		}
		b := bytes.Repeat([]byte("message "), size/8+1)[:size]
		if i%3 == 0 {
			for j := range b {
				b[j] = byte(rng.Uint32())
			}
		}
		binary.BigEndian.PutUint32(b, uint32(i))
		bodies[i] = b
	}
	return bodies
}

// Whatever the layers, all messages arrive as they were, and Stop leaves none
// behind in a layer.
func TestEveryCombinationOfLayers(t *testing.T) {
	ca := certstest.NewCA(t)
	bodies := variedBodies(2000)
	for _, tt := range []struct {
		name, want string
		change     func(*nsq.Config)
	}{
		{"none", "TLS false , deflate false, snappy false", func(*nsq.Config) {}},
		{"snappy", "TLS false , deflate false, snappy true", func(c *nsq.Config) { c.Snappy = true }},
		{"deflate", "TLS false , deflate true, snappy false", func(c *nsq.Config) { c.Deflate = true }},
		{"fast deflate", "TLS false , deflate true, snappy false", func(c *nsq.Config) { c.Deflate, c.DeflateLevel = true, 1 }},
		{"small deflate", "TLS false , deflate true, snappy false", func(c *nsq.Config) { c.Deflate, c.DeflateLevel = true, 9 }},
		{"TLS", "TLS true TLS1.3, deflate false, snappy false", func(c *nsq.Config) { c.TlsV1 = true }},
		{"TLS 1.2", "TLS true TLS1.2, deflate false, snappy false", func(c *nsq.Config) { c.TlsV1, c.TlsConfig.MaxVersion = true, tls.VersionTLS12 }},
		{"TLS and snappy", "TLS true TLS1.3, deflate false, snappy true", func(c *nsq.Config) { c.TlsV1, c.Snappy = true, true }},
		{"TLS and deflate", "TLS true TLS1.3, deflate true, snappy false", func(c *nsq.Config) { c.TlsV1, c.Deflate = true, true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startTLS(t, ca, nil)
			cfg := nsq.NewConfig()
			cfg.MaxInFlight = 100
			cfg.TlsConfig = &tls.Config{RootCAs: ca.Pool()}
			tt.change(cfg)

			var mu sync.Mutex
			arrived := map[uint32]int{}
			r := consume(t, d.TCPAddr(), cfg, func(m *nsq.Message) error {
				i := binary.BigEndian.Uint32(m.Body)
				if !bytes.Equal(m.Body, bodies[i]) {
					t.Errorf("message %d of %d bytes arrived as %d others", i, len(bodies[i]), len(m.Body))
				}
				mu.Lock()
				defer mu.Unlock()
				arrived[i]++
				return nil
			})
			p := produce(t, d.TCPAddr(), cfg)
			must(t, p.Publish("layers", bodies[0]))
			nsqtest.Eventually(t, "both clients", func() bool { return len(layersOf(t, d)) == 2 })
			for _, got := range layersOf(t, d) {
				if got != tt.want {
					t.Errorf("nsqd sees %s, want %s", got, tt.want)
				}
			}

			done := make(chan *nsq.ProducerTransaction, len(bodies))
			for i := 1; i < len(bodies); i += 2 {
				must(t, p.PublishAsync("layers", bodies[i], done))
				if i+1 < len(bodies) {
					must(t, p.MultiPublishAsync("layers", bodies[i+1:i+2], done))
				}
			}
			for range len(bodies) - 1 {
				must(t, (<-done).Error)
			}
			nsqtest.Eventually(t, "all messages", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(arrived) == len(bodies)
			})
			p.Stop()
			r.Stop()
			<-r.StopChan
			nsqtest.Eventually(t, "every FIN", func() bool {
				resp, err := http.Get(d.HTTPURL() + "/stats?topic=layers&format=json")
				must(t, err)
				defer resp.Body.Close()
				var all bytes.Buffer
				_, err = all.ReadFrom(resp.Body)
				must(t, err)
				return strings.Contains(all.String(), `"in_flight_count":0`) && strings.Contains(all.String(), `"client_count":0`)
			})
			for i, n := range arrived {
				if n != 1 {
					t.Errorf("message %d arrived %d times", i, n)
				}
			}
		})
	}
}

func produce(t *testing.T, addr string, cfg *nsq.Config) *nsq.Producer {
	t.Helper()
	p, err := nsq.NewProducer(addr, cfg)
	must(t, err)
	p.SetLogger(testLog{t}, nsq.LogLevelInfo)
	t.Cleanup(p.Stop)
	return p
}

func consume(t *testing.T, addr string, cfg *nsq.Config, h nsq.HandlerFunc) *nsq.Consumer {
	t.Helper()
	r, err := nsq.NewConsumer("layers", "ch", cfg)
	must(t, err)
	r.SetLogger(testLog{t}, nsq.LogLevelInfo)
	r.AddHandler(h)
	must(t, r.ConnectToNSQD(addr))
	t.Cleanup(func() {
		r.Stop()
		<-r.StopChan
	})
	return r
}

// Who is refused, by whom, and in which words.
func TestWhoMayTalkTLS(t *testing.T) {
	ca, other := certstest.NewCA(t), certstest.NewCA(t)
	dir := t.TempDir()
	caFile, _ := ca.Write(t, dir, "ca")
	otherFile, _ := other.Write(t, dir, "other")
	cert, key := ca.Issue(t).Write(t, dir, "client")
	strange, strangeKey := other.Issue(t).Write(t, dir, "strange")

	normal := startTLS(t, ca, nil).TCPAddr()
	verifying := startTLS(t, ca, func(o *nsqd.Options) { o.TLSClientAuthPolicy, o.TLSRootCAFile = "require-verify", caFile }).TCPAddr()
	modern := startTLS(t, ca, func(o *nsqd.Options) { o.TLSMinVersion = tls.VersionTLS13 }).TCPAddr()
	old := startTLS(t, ca, func(o *nsqd.Options) { o.TLSMinVersion = tls.VersionTLS10 }).TCPAddr()
	clear := nsqtest.Start(t, nil).TCPAddr()
	plain := nsqtest.Options(t)
	plain.Snappy, plain.Deflate = false, false
	uncompressed := nsqtest.Start(t, plain).TCPAddr()
	byName := "localhost" + normal[strings.LastIndex(normal, ":"):]

	type set map[string]any
	trusting := func(more set) set {
		all := set{"tls_v1": true, "tls_root_ca_file": caFile}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	for _, tt := range []struct {
		name, addr string
		options    set
		want       string // a part of the error
	}{
		{"a known authority", normal, trusting(nil), ""},
		{"a name", byName, trusting(nil), ""},
		{"another name than the certificate's", normal, set{"tls_v1": true, "tls_config": &tls.Config{RootCAs: ca.Pool(), ServerName: "example.com"}}, "failed to IDENTIFY - tls: failed to verify certificate: x509: certificate is valid for localhost, not example.com"},
		{"a name for an address", normal, set{"tls_v1": true, "tls_config": &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}}, ""},
		{"a wrong authority", normal, set{"tls_v1": true, "tls_root_ca_file": otherFile}, "certificate signed by unknown authority"},
		{"the system's authorities", normal, set{"tls_v1": true}, "failed to IDENTIFY - tls: failed to verify certificate"},
		{"no check", normal, set{"tls_v1": true, "tls_insecure_skip_verify": true}, ""},
		{"a config alone", clear, set{"tls_root_ca_file": caFile}, ""},
		{"TLS that is not offered", clear, trusting(nil), "failed to IDENTIFY - nsqd does not offer TLS"},
		{"no certificate where one is required", verifying, trusting(nil), "failed to IDENTIFY - remote error: tls: certificate required"},
		{"no TLS where it is required", verifying, set{}, "E_INVALID cannot PUB in current state (TLS required)"},
		{"a certificate", verifying, trusting(set{"tls_cert": cert, "tls_key": key}), ""},
		{"a certificate of another authority", verifying, trusting(set{"tls_cert": strange, "tls_key": strangeKey}), "failed to IDENTIFY - remote error: tls: "},
		{"TLS 1.3 with an nsqd that wants it", modern, trusting(set{"tls_min_version": "tls1.0"}), ""},
		{"TLS 1.2 with an nsqd that wants 1.3", modern, set{"tls_v1": true, "tls_config": &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}}, "failed to IDENTIFY - remote error: tls: protocol version not supported"},
		{"TLS 1.3 with an old nsqd", old, trusting(set{"tls_min_version": "tls1.3"}), ""},
		{"deflate that is not offered", uncompressed, set{"deflate": true}, ""},
		{"snappy that is not offered", uncompressed, set{"snappy": true}, ""},
		{"two compressions", normal, set{"snappy": true, "deflate": true}, "failed to IDENTIFY - E_IDENTIFY_FAILED cannot enable both deflate and snappy compression"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := nsq.NewConfig()
			for option, value := range tt.options {
				must(t, cfg.Set(option, value))
			}
			err := produce(t, tt.addr, cfg).Publish("who", []byte("x"))
			if tt.want == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Publish: %v, want %s", err, tt.want)
			}
			var identify nsq.ErrIdentify
			if strings.HasPrefix(tt.want, "failed to IDENTIFY") && !errors.As(err, &identify) {
				t.Errorf("%v is a %T, want an ErrIdentify", err, err)
			}
		})
	}
}

// logLines keeps log lines.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Output(_ int, s string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
	return nil
}

func (l *logLines) find(part string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// The secret follows inside the layers, and the log says once with whom.
func TestAuthorizationInsideTheLayers(t *testing.T) {
	ca := certstest.NewCA(t)
	server := authtest.Start(t)
	server.Answer("s3cret", http.StatusOK, mayDoAll)
	d := startTLS(t, ca, func(o *nsqd.Options) {
		o.AuthHTTPAddresses = []string{server.URL}
		o.TLSRequired = nsqd.TLSRequiredExceptHTTP
	})
	cfg := nsq.NewConfig()
	cfg.TlsV1, cfg.Snappy, cfg.TlsConfig, cfg.AuthSecret = true, true, &tls.Config{RootCAs: ca.Pool()}, "s3cret"
	p := produce(t, d.TCPAddr(), cfg)
	var lines logLines
	p.SetLogger(&lines, nsq.LogLevelInfo)
	must(t, p.Publish("layers", []byte("x")))
	nsqtest.Eventually(t, "the log", func() bool { return lines.find("auth accepted") != "" })
	if line := lines.find("auth accepted"); strings.Count(line, d.TCPAddr()) != 1 || !strings.HasSuffix(line, "("+d.TCPAddr()+`) auth accepted, identity: "bob" http://bob permissions: 1`) {
		t.Errorf("logged %q", line)
	}
	r, err := nsq.NewConsumer("layers", "ch", cfg)
	must(t, err)
	r.SetLogger(&lines, nsq.LogLevelInfo)
	bodies := make(chan string, 1)
	r.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error { bodies <- string(m.Body); return nil }))
	defer func() { r.Stop(); <-r.StopChan }()
	must(t, r.ConnectToNSQD(d.TCPAddr()))
	if got := <-bodies; got != "x" {
		t.Errorf("got %q", got)
	}
	nsqtest.Eventually(t, "the consumer's log", func() bool {
		return lines.find("[layers/ch] ("+d.TCPAddr()+") auth accepted") != ""
	})
}
