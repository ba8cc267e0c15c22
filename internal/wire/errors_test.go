package wire

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// The error catalogue: code, and whether the connection ends with it.
func TestErrorCatalogue(t *testing.T) {
	for _, tt := range []struct {
		code, want string
		fatal      bool
	}{
		{BadProtocol, "E_BAD_PROTOCOL", true},
		{Invalid, "E_INVALID", true},
		{BadBody, "E_BAD_BODY", true},
		{BadTopic, "E_BAD_TOPIC", true},
		{BadChannel, "E_BAD_CHANNEL", true},
		{BadMessage, "E_BAD_MESSAGE", true},
		{IdentifyFailed, "E_IDENTIFY_FAILED", true},
		{SubFailed, "E_SUB_FAILED", true},
		{PubFailed, "E_PUB_FAILED", true},
		{MPubFailed, "E_MPUB_FAILED", true},
		{DPubFailed, "E_DPUB_FAILED", true},
		{AuthFirst, "E_AUTH_FIRST", true},
		{AuthFailed, "E_AUTH_FAILED", true},
		{AuthDisabled, "E_AUTH_DISABLED", true},
		{AuthError, "E_AUTH_ERROR", true},
		{Unauthorized, "E_UNAUTHORIZED", true},
		{FinFailed, "E_FIN_FAILED", false},
		{ReqFailed, "E_REQ_FAILED", false},
		{TouchFailed, "E_TOUCH_FAILED", false},
		{"E_OF_ANOTHER_SERVER", "E_OF_ANOTHER_SERVER", true},
	} {
		if tt.code != tt.want {
			t.Errorf("code %q, want %q", tt.code, tt.want)
		}
		if got := Fatal(tt.code); got != tt.fatal {
			t.Errorf("Fatal(%s) = %v, want %v", tt.code, got, tt.fatal)
		}
		if got := NewError(tt.code, "text", nil).Fatal(); got != tt.fatal {
			t.Errorf("an error of code %s: Fatal() = %v, want %v", tt.code, got, tt.fatal)
		}
	}
}

func TestErrorRoundTrip(t *testing.T) {
	for _, tt := range []struct{ code, desc, text string }{
		{BadProtocol, "", "E_BAD_PROTOCOL"},
		{Invalid, "cannot SUB in current state", "E_INVALID cannot SUB in current state"},
		{Invalid, "invalid command  x", "E_INVALID invalid command  x"},
		{Invalid, " a leading space", "E_INVALID  a leading space"},
		{BadTopic, `E_BAD_TOPIC MPUB topic name "a b" is not valid`, `E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "a b" is not valid`},
		{FinFailed, "FIN 18a376cace689000 failed ID not in flight", "E_FIN_FAILED FIN 18a376cace689000 failed ID not in flight"},
		{"", "", ""},
	} {
		e := NewError(tt.code, tt.desc, io.ErrUnexpectedEOF)
		if e.Error() != tt.text {
			t.Errorf("Error() = %q, want %q", e.Error(), tt.text)
		}
		typ, data, rest, err := ParseFrame(AppendError(nil, e), 0)
		if err != nil || typ != FrameError || string(data) != tt.text || len(rest) != 0 {
			t.Errorf("frame of %q: (%d, %q, rest %q, %v)", tt.text, typ, data, rest, err)
			continue
		}
		if got := ParseError(data); *got != (Error{Code: tt.code, Desc: tt.desc}) {
			t.Errorf("ParseError(%q) = %+v, want code %q and text %q, no cause", data, *got, tt.code, tt.desc)
		}
	}
}

// The cause is for errors.Is and the log; no client sees it.
func TestErrorHidesItsCause(t *testing.T) {
	err := fmt.Errorf("client 7: %w", NewError(BadMessage, "PUB failed to read message body", io.ErrUnexpectedEOF))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not find the cause")
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal("errors.AsType does not find the error")
	}
	if want := "E_BAD_MESSAGE PUB failed to read message body"; e.Error() != want {
		t.Errorf("Error() = %q, want %q", e.Error(), want)
	}
	if got, want := string(AppendError(nil, e)), string(AppendFrame(nil, FrameError, e.Error())); got != want {
		t.Errorf("frame %q, want %q", got, want)
	}
}
