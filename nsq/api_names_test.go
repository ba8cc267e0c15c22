package nsq_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// knownNames are the names that programs know, methods and fields by type.
var knownNames = map[string]string{
	"": `VERSION MsgIDLength FrameTypeResponse FrameTypeError FrameTypeMessage StateInit StateDisconnected StateConnected
		LogLevelDebug LogLevelInfo LogLevelWarning LogLevelError LogLevelMax MagicV1 MagicV2
		IsValidTopicName IsValidChannelName ReadResponse UnpackResponse ReadUnpackedResponse DecodeMessage NewMessage
		NewConfig NewProducer NewConsumer NewConn
		Identify Auth Register UnRegister Ping Nop StartClose Publish DeferredPublish MultiPublish Subscribe Ready Finish Touch Requeue
		ErrNotConnected ErrStopped ErrClosing ErrAlreadyConnected ErrOverMaxInFlight
		Command ErrIdentify ErrProtocol Handler HandlerFunc FailedMessageLogger DiscoveryFilter BackoffStrategy ExponentialStrategy
		FullJitterStrategy MessageDelegate ConnDelegate LogLevel MessageID ConsumerStats ProducerTransaction IdentifyResponse
		AuthResponse ConfigFlag Config Conn Message Producer Consumer`,
	"Command":             `Name Params Body String WriteTo`,
	"ErrIdentify":         `Reason Error`,
	"ErrProtocol":         `Reason Error`,
	"Handler":             `HandleMessage`,
	"HandlerFunc":         `HandleMessage`,
	"FailedMessageLogger": `LogFailedMessage`,
	"DiscoveryFilter":     `Filter`,
	"BackoffStrategy":     `Calculate`,
	"ExponentialStrategy": `Calculate`,
	"FullJitterStrategy":  `Calculate`,
	"MessageDelegate":     `OnFinish OnRequeue OnTouch`,
	"ConnDelegate": `OnResponse OnError OnMessage OnMessageFinished OnMessageRequeued OnBackoff OnContinue OnResume OnIOError
		OnHeartbeat OnClose`,
	"LogLevel":            `String`,
	"ConsumerStats":       `MessagesReceived MessagesFinished MessagesRequeued Connections`,
	"ProducerTransaction": `Error Args`,
	"IdentifyResponse":    `MaxRdyCount TLSv1 Deflate Snappy AuthRequired`,
	"AuthResponse":        `Identity IdentityUrl PermissionCount`,
	"ConfigFlag":          `Config Set String`,
	"Config": `DialTimeout ReadTimeout WriteTimeout LocalAddr LookupdPollInterval LookupdPollJitter LookupdPollTimeout
		MaxRequeueDelay DefaultRequeueDelay BackoffStrategy MaxBackoffDuration BackoffMultiplier MaxAttempts LowRdyIdleTimeout
		LowRdyTimeout RDYRedistributeInterval ClientID Hostname UserAgent TopologyRegion TopologyZone HeartbeatInterval SampleRate
		TlsV1 TlsConfig Deflate DeflateLevel Snappy OutputBufferSize OutputBufferTimeout MaxInFlight MsgTimeout MaxMsgSize
		AuthSecret LookupdAuthorization Set Validate`,
	"Conn": `Connect Close IsClosing RDY LastRDY SetRDY MaxRDY LastRdyTime LastMessageTime RemoteAddr String Read Write
		WriteCommand Flush SetLogger SetLoggerForLevel SetLoggerLevel`,
	"Message": `ID Body Timestamp Attempts NSQDAddress Delegate Finish Requeue RequeueWithoutBackoff Touch HasResponded
		DisableAutoResponse IsAutoResponseDisabled WriteTo`,
	"Producer": `Ping Publish MultiPublish DeferredPublish PublishAsync MultiPublishAsync DeferredPublishAsync Stop String
		SetLogger SetLoggerForLevel SetLoggerLevel`,
	"Consumer": `StopChan AddHandler AddConcurrentHandlers ChangeMaxInFlight ConnectToNSQD ConnectToNSQDs ConnectToNSQLookupd
		ConnectToNSQLookupds DisconnectFromNSQD DisconnectFromNSQLookupd IsStarved SetBehaviorDelegate SetLogger
		SetLoggerForLevel SetLoggerLevel SetLookupdHttpClient Stats Stop`,
}

// known returns knownNames as they stand in Go: T.Method, T.Field.
func known() map[string]bool {
	names := map[string]bool{}
	for of, list := range knownNames {
		for _, name := range strings.Fields(list) {
			names[qualified(of, name)] = true
		}
	}
	return names
}

func qualified(of, name string) string {
	if of == "" {
		return name
	}
	return of + "." + name
}

const additionsFile = "testdata/api_additions.txt"

// additions returns the names that came later.
func additions(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(additionsFile)
	must(t, err)
	names := map[string]bool{}
	for line := range bytes.Lines(b) {
		name := string(bytes.TrimSpace(line))
		if names[name] {
			t.Errorf("%s lists %s twice", additionsFile, name)
		}
		names[name] = true
	}
	return names
}

// api_test.go says of every known name what its type is.
func TestKnownNamesHaveTypes(t *testing.T) {
	typed := namesUsed(t, "api_test.go")
	for _, name := range slices.Sorted(maps.Keys(known())) {
		if !typed[name] {
			t.Errorf("api_test.go does not say what %s is", name)
		}
	}
}

// The package exports what programs know and what was added on purpose.
func TestExportedNames(t *testing.T) {
	exported, known, added := exportedNames(t), known(), additions(t)
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		if !known[name] && !added[name] {
			t.Errorf("%s is exported. If programs are to have it for good, add this line to nsq/%s", name, additionsFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !exported[name] {
			t.Errorf("programs know %s, which is not exported any more", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		switch {
		case known[name]:
			t.Errorf("%s lists %s, which is no addition", additionsFile, name)
		case !exported[name]:
			t.Errorf("%s is not exported any more: take it off %s if no release had it", name, additionsFile)
		}
	}
}

// namesUsed returns what a file uses of the package: nsq.X as X, and a method or
// field of nsq.T, (*nsq.T), nsq.T{} or (&nsq.T{}) as T.X.
func namesUsed(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	must(t, err)
	used := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := typeNamed(sel.X); ok {
				used[qualified(of, sel.Sel.Name)] = true
			}
		}
		return true
	})
	return used
}

// typeNamed returns the type of the package that an expression names, and "" for
// the package itself.
func typeNamed(x ast.Expr) (name string, ok bool) {
	switch x := x.(type) {
	case *ast.Ident:
		return "", x.Name == "nsq"
	case *ast.ParenExpr:
		return typeNamed(x.X)
	case *ast.StarExpr:
		return typeNamed(x.X)
	case *ast.UnaryExpr:
		return typeNamed(x.X)
	case *ast.CompositeLit:
		return typeNamed(x.Type)
	case *ast.SelectorExpr:
		of, ok := typeNamed(x.X)
		return x.Sel.Name, ok && of == ""
	}
	return "", false
}

// declarations are what a package declares, by the names of types.
type declarations struct {
	top      []string
	members  map[string][]string // methods and fields
	embedded map[string][]string // types of the package itself
}

// exportedNames returns all names that a program can use, with methods and fields
// that come from an embedded type.
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	d := declarations{members: map[string][]string{}, embedded: map[string][]string{}}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		for _, decl := range file.Decls {
			d.add(decl)
		}
	}
	names := map[string]bool{}
	for _, name := range d.top {
		if !ast.IsExported(name) {
			continue
		}
		names[name] = true
		for _, member := range d.membersOf(name) {
			if ast.IsExported(member) {
				names[name+"."+member] = true
			}
		}
	}
	return names
}

func (d *declarations) membersOf(of string) []string {
	members := slices.Clone(d.members[of])
	for _, e := range d.embedded[of] {
		members = append(members, d.membersOf(e)...)
	}
	return members
}

func (d *declarations) add(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			d.top = append(d.top, decl.Name.Name)
			return
		}
		of := baseName(decl.Recv.List[0].Type)
		d.members[of] = append(d.members[of], decl.Name.Name)
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				d.top = append(d.top, spec.Name.Name)
				d.addMembers(spec.Name.Name, spec.Type)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					d.top = append(d.top, name.Name)
				}
			}
		}
	}
}

func (d *declarations) addMembers(of string, x ast.Expr) {
	var fields *ast.FieldList
	switch x := x.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields = x.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, name := range f.Names {
			d.members[of] = append(d.members[of], name.Name)
		}
		if len(f.Names) == 0 {
			name := baseName(f.Type)
			d.members[of] = append(d.members[of], name) // as a field
			d.embedded[of] = append(d.embedded[of], name)
		}
	}
}

// baseName returns the name of a type without *, type parameters and package.
func baseName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.StarExpr:
		return baseName(x.X)
	case *ast.IndexExpr:
		return baseName(x.X)
	case *ast.SelectorExpr:
		return x.Sel.Name
	}
	return ""
}
