package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const secret = "the-token-that-nobody-may-see"

// stored is one artifact as the fake gateway has it.
type stored struct {
	parts       [][]byte
	size        int64 // of parts whose bytes are not kept
	ContentType string
	SHA256      string
	Parts       int
	Size        int64
	Error       struct{ Reason, Message string }
	complete    bool
}

func (s *stored) bytes() []byte { return bytes.Join(s.parts, nil) }

// fake is a gateway that keeps what it gets. fault may answer in its place.
type fake struct {
	*httptest.Server
	t         *testing.T
	fault     func(w http.ResponseWriter, r *http.Request, n int) bool
	forgetful bool // keeps no bytes
	ended     func()

	mutex     sync.Mutex
	requests  int
	artifacts map[string]*stored
	attempt   *struct{ Artifacts, ExitCode int }
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, artifacts: map[string]*stored{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	f.requests++
	n := f.requests
	f.mutex.Unlock()
	if r.Method != http.MethodPut || r.Header.Get("Authorization") != "Bearer "+secret {
		f.t.Errorf("%s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}
	if f.fault != nil && f.fault(w, r, n) {
		return
	}
	path, known := strings.CutPrefix(r.URL.EscapedPath(), "/runner/v1/")
	if !known {
		f.t.Errorf("unknown path %s", r.URL)
	}
	if path == "attempt" {
		f.end(w, r)
		return
	}
	path = strings.TrimPrefix(path, "artifacts/")
	if name, index, isPart := strings.Cut(path, "/parts/"); isPart {
		f.part(w, r, unescape(name), index)
		return
	}
	f.complete(w, r, unescape(path))
}

func unescape(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		panic(err)
	}
	return plain
}

func (f *fake) get(name string) *stored {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.artifacts[name] == nil {
		f.artifacts[name] = &stored{}
	}
	return f.artifacts[name]
}

func (f *fake) part(w http.ResponseWriter, r *http.Request, name, index string) {
	if r.ContentLength <= 0 || r.ContentLength > maxPart {
		f.t.Errorf("part %s of %s: Content-Length %d", index, name, r.ContentLength)
	}
	digest := sha256.New()
	var kept bytes.Buffer
	sink := io.MultiWriter(digest, &kept)
	if f.forgetful {
		sink = digest
	}
	size, err := io.Copy(sink, r.Body)
	if err != nil || size != r.ContentLength {
		return // never stored
	}
	var i int
	fmt.Sscan(index, &i)
	one := f.get(name)
	for len(one.parts) <= i {
		one.parts = append(one.parts, nil)
	}
	one.parts[i] = kept.Bytes()
	one.size += size
	json.NewEncoder(w).Encode(map[string]any{"size": size, "sha256": hex.EncodeToString(digest.Sum(nil))})
}

func (f *fake) complete(w http.ResponseWriter, r *http.Request, name string) {
	one := f.get(name)
	if err := json.NewDecoder(r.Body).Decode(one); err != nil {
		f.t.Errorf("%s: %v", name, err)
	}
	if one.Error.Reason == "" && !f.forgetful {
		sum := sha256.Sum256(one.bytes())
		if one.SHA256 != hex.EncodeToString(sum[:]) || one.Size != int64(len(one.bytes())) || one.Parts != len(one.parts) {
			f.t.Errorf("%s: announced %d parts, %d bytes, %s; stored are %d, %d, %x",
				name, one.Parts, one.Size, one.SHA256, len(one.parts), len(one.bytes()), sum)
		}
	}
	one.complete = true
	w.WriteHeader(http.StatusNoContent)
}

func (f *fake) end(w http.ResponseWriter, r *http.Request) {
	if f.ended != nil {
		f.ended()
	}
	var told struct{ Artifacts, ExitCode int }
	if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
		f.t.Error(err)
	}
	f.attempt = &told
	w.WriteHeader(http.StatusNoContent)
}

// spec is an order for this gateway.
func (f *fake) spec(artifacts ...artifact) *spec {
	token := filepath.Join(f.t.TempDir(), "token")
	keep(f.t, token, secret+"\n")
	return &spec{Version: 1, Gateway: f.URL, TokenFile: token, Grace: 30, Artifacts: artifacts}
}

// names of what is complete, in order.
func (f *fake) wants(name, content string) {
	f.t.Helper()
	one := f.get(name)
	if !one.complete || one.Error.Reason != "" || string(one.bytes()) != content {
		f.t.Errorf("%s: complete %t, error %+v, %d bytes, wanted %d",
			name, one.complete, one.Error, len(one.bytes()), len(content))
	}
}

func (f *fake) wantsError(name, reason, words string) {
	f.t.Helper()
	one := f.get(name)
	if !one.complete || one.Error.Reason != reason || !strings.Contains(one.Error.Message, words) {
		f.t.Errorf("%s: %+v, wanted %s: %s", name, one.Error, reason, words)
	}
}

func keep(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
