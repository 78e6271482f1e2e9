package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sends is an uploader with short waits and parts of 64 KiB.
func sends(t *testing.T, f *fake) *uploader {
	t.Helper()
	u, err := newUploader(f.spec())
	if err != nil {
		t.Fatal(err)
	}
	u.partSize = 64 << 10
	u.retry.pause = func(int) time.Duration { return time.Millisecond }
	u.gateway.stall, u.gateway.answer = 300*time.Millisecond, 300*time.Millisecond
	return u
}

func noise(size int) string {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(content)
	return string(content)
}

func TestFilesArriveAsTheyAre(t *testing.T) {
	for name, content := range map[string]string{
		"empty":                     "",
		"short":                     "x",
		"public/a part exactly.txt": noise(64 << 10),
		"odd/ä %2F#?&+\\.log":       noise(64<<10 + 1),
		"many parts":                noise(1 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			u := sends(t, f)
			path := keep(t, filepath.Join(t.TempDir(), "a"), content)
			if err := u.file(t.Context(), artifact{Name: name, Path: path}); err != nil {
				t.Fatal(err)
			}
			f.wants(name, content)
			if err := u.end(t.Context(), 3); err != nil || f.attempt.Artifacts != 1 || f.attempt.ExitCode != 3 {
				t.Errorf("%v %+v", err, f.attempt)
			}
		})
	}
}

func TestContentTypes(t *testing.T) {
	for _, c := range []struct{ given, name, path, wanted string }{
		{"text/x-own", "a.txt", "/a.txt", "text/x-own"},
		{"", "public/a.TXT", "/etc/a", "text/plain; charset=utf-8"},
		{"", "report", "/out/report.html", "text/html; charset=utf-8"},
		{"", "core", "/core", "application/octet-stream"},
	} {
		if got := contentTypeOf(c.name, c.path); c.given == "" && got != c.wanted {
			t.Errorf("%+v: %s", c, got)
		}
	}
	f := newFake(t)
	path := keep(t, filepath.Join(t.TempDir(), "a.txt"), "x")
	sends(t, f).file(t.Context(), artifact{Name: "a", Path: path, ContentType: "text/x-own"})
	sends(t, f).file(t.Context(), artifact{Name: "b", Path: path})
	if f.get("a").ContentType != "text/x-own" || f.get("b").ContentType != "text/plain; charset=utf-8" {
		t.Errorf("%+v %+v", f.get("a"), f.get("b"))
	}
}

// hangUp breaks the connection after some bytes of the body.
func hangUp(w http.ResponseWriter, r *http.Request, after int64) {
	io.CopyN(io.Discard, r.Body, after)
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		connection.Close()
	}
}

func TestFaultsThatPass(t *testing.T) {
	status := func(code int) func(*fake, http.ResponseWriter, *http.Request) {
		return func(_ *fake, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	faults := map[string]func(*fake, http.ResponseWriter, *http.Request){
		"500": status(500), "503": status(503), "408": status(408), "429": status(429), "599": status(599),
		"dropped at once":     func(_ *fake, w http.ResponseWriter, r *http.Request) { hangUp(w, r, 0) },
		"dropped in mid-part": func(_ *fake, w http.ResponseWriter, r *http.Request) { hangUp(w, r, 30000) },
		"dropped after storing": func(f *fake, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			hangUp(w, r, 0)
		},
		"no answer": func(_ *fake, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"half an answer": func(_ *fake, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"size":`))
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			// Every third request works: parts, the completion and the end all meet the fault.
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n%3 != 0 {
					fault(f, w, r)
				}
				return n%3 != 0
			}
			u := sends(t, f)
			content := noise(200 << 10)
			path := keep(t, filepath.Join(t.TempDir(), "a"), content)
			if err := u.file(t.Context(), artifact{Name: "a", Path: path}); err != nil {
				t.Fatal(err)
			}
			f.wants("a", content)
			if err := u.end(t.Context(), 0); err != nil || f.attempt == nil {
				t.Errorf("%v", err)
			}
			if f.requests != 3*(4+1+1) {
				t.Errorf("%d requests", f.requests)
			}
		})
	}
}

func TestAStalledPartIsSentAgainAndOthersAreNot(t *testing.T) {
	f := newFake(t)
	var paths []string
	release := make(chan struct{})
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		paths = append(paths, r.URL.Path[len("/runner/v1/artifacts/a"):])
		if n == 2 {
			io.CopyN(io.Discard, r.Body, 1000)
			<-release // reads no more
			return true
		}
		return false
	}
	u := sends(t, f)
	u.partSize = 16 << 20 // more than fits into the sockets
	f.forgetful = true
	path := filepath.Join(t.TempDir(), "a")
	keep(t, path, "")
	os.Truncate(path, 40<<20)
	err := u.file(t.Context(), artifact{Name: "a", Path: path})
	close(release)
	if err != nil || strings.Join(paths, " ") != "/parts/0 /parts/1 /parts/1 /parts/2 " {
		t.Errorf("%v %q", err, paths)
	}
}

func TestASlowReaderIsNoStall(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			for range 10 { // longer than the stall limit as a whole
				io.CopyN(io.Discard, r.Body, 1<<20)
				time.Sleep(60 * time.Millisecond)
			}
			io.Copy(io.Discard, r.Body)
			http.Error(w, "the first try is not wanted", http.StatusTeapot)
			return true
		}
		return false
	}
	u := sends(t, f)
	u.partSize = 16 << 20
	path := filepath.Join(t.TempDir(), "a")
	keep(t, path, "")
	os.Truncate(path, 16<<20)
	err := u.file(t.Context(), artifact{Name: "a", Path: path})
	var no *refusal
	if !errors.As(err, &no) || no.status != http.StatusTeapot || f.requests != 1 {
		t.Errorf("%v after %d requests", err, f.requests)
	}
}

func TestAWrongHashIsSentAgain(t *testing.T) {
	for name, wrong := range map[string]string{
		"hash": `{"size":65536,"sha256":"00"}`, "nonsense": "hm", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n == 2 {
					io.Copy(io.Discard, r.Body)
					io.WriteString(w, wrong)
				}
				return n == 2
			}
			content := noise(150 << 10)
			path := keep(t, filepath.Join(t.TempDir(), "a"), content)
			if err := sends(t, f).file(t.Context(), artifact{Name: "a", Path: path}); err != nil {
				t.Fatal(err)
			}
			f.wants("a", content)
			if f.requests != 5 {
				t.Errorf("%d requests", f.requests)
			}
		})
	}
}

func TestFinalAnswers(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 409, 301, 307, 201} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			f := newFake(t)
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(code)
				io.WriteString(w, "no\n\x1b[31m, and you sent "+r.Header.Get("Authorization"))
				return true
			}
			path := keep(t, filepath.Join(t.TempDir(), "a"), noise(100<<10))
			err := sends(t, f).file(t.Context(), artifact{Name: "a", Path: path})
			var no *refusal
			if !errors.As(err, &no) || no.status != code || f.requests != 1 {
				t.Fatalf("%v after %d requests", err, f.requests)
			}
			if strings.Contains(err.Error(), secret) || strings.ContainsAny(err.Error(), "\n\x1b") || !strings.Contains(err.Error(), "no [31m, and you sent Bearer …") {
				t.Errorf("%q", err)
			}
		})
	}
}

func TestTooLargeIsTold(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 2 {
			http.Error(w, "the limit is 64 KiB", http.StatusRequestEntityTooLarge)
		}
		return n == 2
	}
	u := sends(t, f)
	u.partSize = 3 << 20
	path := keep(t, filepath.Join(t.TempDir(), "a"), noise(6<<20))
	if err := u.file(t.Context(), artifact{Name: "a", Path: path}); err != nil {
		t.Fatal(err)
	}
	f.wantsError("a", reasonTooLarge, "the limit is 64 KiB")
}

func TestRetryAfterIsObeyed(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n == 1
	}
	begin := time.Now()
	path := keep(t, filepath.Join(t.TempDir(), "a"), "x")
	if err := sends(t, f).file(t.Context(), artifact{Name: "a", Path: path}); err != nil {
		t.Fatal(err)
	}
	if time.Since(begin) < time.Second {
		t.Error("came back too early")
	}
	moment := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := retryAfter("Thu, 01 Jan 2026 00:00:07 GMT", moment); got != 7*time.Second {
		t.Errorf("%v", got)
	}
}

func TestTryingEndsAtTheDeadlineOrWithPatience(t *testing.T) {
	for name, change := range map[string]func(*retrier){
		"deadline": func(r *retrier) { r.deadline = time.Now().Add(300 * time.Millisecond) },
		"patience": func(r *retrier) { r.patience = 300 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				w.WriteHeader(http.StatusBadGateway)
				return true
			}
			u := sends(t, f)
			change(u.retry)
			path := keep(t, filepath.Join(t.TempDir(), "a"), "x")
			err := u.file(t.Context(), artifact{Name: "a", Path: path})
			if !hopeless(err) || f.requests < 2 || !strings.Contains(err.Error(), "gave up: the gateway answers 502 Bad Gateway") {
				t.Errorf("%v after %d requests", err, f.requests)
			}
		})
	}
}

func TestADeadlineEndsAnUploadThatIsUnderWay(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return true
	}
	u := sends(t, f)
	u.gateway.answer = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	path := keep(t, filepath.Join(t.TempDir(), "a"), "x")
	if err := u.file(ctx, artifact{Name: "a", Path: path}); !hopeless(err) {
		t.Errorf("%v", err)
	}
}

func TestTheTokenIsReadForEachRequest(t *testing.T) {
	f := newFake(t)
	u := sends(t, f)
	path := keep(t, filepath.Join(t.TempDir(), "a"), "x")
	if err := os.Remove(u.gateway.tokenFile); err != nil {
		t.Fatal(err)
	}
	if err := u.file(t.Context(), artifact{Name: "a", Path: path}); err == nil || !strings.Contains(err.Error(), "cannot read the token") {
		t.Errorf("%v", err)
	}
	keep(t, u.gateway.tokenFile, secret)
	if err := u.file(t.Context(), artifact{Name: "a", Path: path}); err != nil {
		t.Error(err)
	}
}

// changing is a file that is another one after some reads.
type changing struct {
	reads int
	when  int
	first io.ReaderAt
	then  io.ReaderAt
}

func (c *changing) ReadAt(buffer []byte, offset int64) (int, error) {
	c.reads++
	if c.reads >= c.when {
		return c.then.ReadAt(buffer, offset)
	}
	return c.first.ReadAt(buffer, offset)
}

func TestFilesThatChangeWhileTheyAreRead(t *testing.T) {
	before := noise(256 << 10)
	for name, then := range map[string]string{
		"other bytes":     strings.Repeat("y", 256<<10),
		"shorter":         before[:100<<10],
		"ends at a part":  before[:128<<10],
		"empty":           "",
		"longer":          before + "more",
		"shorter and new": strings.Repeat("z", 70<<10),
	} {
		for when := 1; when < 12; when++ {
			f := newFake(t)
			// A part in two is not taken, so that parts are read twice with other bytes.
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n%2 == 0 {
					hangUp(w, r, 20000)
				}
				return n%2 == 0
			}
			file := &changing{when: when, first: strings.NewReader(before), then: strings.NewReader(then)}
			if err := sends(t, f).content(t.Context(), "a", file, 256<<10, "x/y"); err != nil {
				t.Fatalf("%s from read %d on: %v", name, when, err)
			}
			// The fake has compared the hash of the whole with that of the parts it holds.
			if one := f.get("a"); !one.complete || len(one.bytes()) < min(len(then), 256<<10) {
				t.Errorf("%s from read %d on: %d bytes", name, when, len(one.bytes()))
			}
		}
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestAFileThatCannotBeReadToItsEnd(t *testing.T) {
	f := newFake(t)
	file := &changing{when: 3, first: strings.NewReader(noise(256 << 10)), then: broken{}}
	if err := sends(t, f).content(t.Context(), "a", file, 256<<10, "x/y"); err != nil {
		t.Fatal(err)
	}
	f.wantsError("a", reasonNotReadable, "input/output error")
}

func TestALateLineTellsOfTrouble(t *testing.T) {
	p := &progress{}
	p.begin("public/x", 3<<20)
	p.at.Store(1 << 20)
	if got := p.line(); got != "uploading public/x: 1.0 of 3.0 MiB" {
		t.Error(got)
	}
	p.trouble(&refusal{status: 503})
	if got := p.line(); !strings.HasSuffix(got, "; trying again after: the gateway answers 503 Service Unavailable") {
		t.Error(got)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for n := range 40 {
		top := min(firstPause<<min(n, 10), longPause)
		if got := backoff(n); got < top/2 || got > top {
			t.Errorf("%d: %v", n, got)
		}
	}
}

func TestTheSpecIsTheProtocols(t *testing.T) {
	var fields map[string]any
	text, _ := json.Marshal(spec{Artifacts: []artifact{{}}})
	json.NewDecoder(bytes.NewReader(text)).Decode(&fields)
	if len(fields) != 7 {
		t.Errorf("%s", text)
	}
}
