package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// stallLimit is for bytes that do not move, answerLimit for the answer once all have been sent:
	// the gateway may have to store the part first.
	stallLimit  = 30 * time.Second
	answerLimit = 60 * time.Second
	// Above this size the gateway is asked first (Expect: 100-continue): what it would refuse is not sent.
	askFirst = 1 << 20
	// An answer is a few hundred bytes; more is not read.
	answerSize = 4 << 10
)

var (
	errStalled  = errors.New("nothing moved for too long")
	errNoAnswer = errors.New("no answer")
)

// gateway sends requests of the protocol in docs/runner.md, one at a time.
type gateway struct {
	base      string
	tokenFile string
	client    *http.Client
	stall     time.Duration
	answer    time.Duration
}

func newGateway(order *spec) (*gateway, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		// No Proxy: the gateway is in the cluster, and the environment is the user's.
		Protocols:             protocols,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true,
	}
	if order.CAFile != "" {
		authorities, err := os.ReadFile(order.CAFile)
		if err != nil {
			return nil, err
		}
		trusted := x509.NewCertPool()
		if !trusted.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s holds no certificate", order.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
	}
	client := &http.Client{
		Transport: transport,
		// A redirect would carry the token to who knows where.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &gateway{
		base:      strings.TrimRight(order.Gateway, "/") + "/runner/v1",
		tokenFile: order.TokenFile,
		client:    client,
		stall:     stallLimit,
		answer:    answerLimit,
	}, nil
}

// put sends body (size bytes) and returns the answer's text if its status is wanted. Errors are
// *refusal where the gateway said no for good, *transient where another try may help.
func (g *gateway) put(ctx context.Context, path string, body io.Reader, size int64, contentType string, wanted int) ([]byte, error) {
	token, err := os.ReadFile(g.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the token: %w", err)
	}
	secret := strings.TrimSpace(string(token))

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := watch(body, size, g.stall, g.answer, cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, g.base+path, watched)
	if err != nil {
		return nil, err
	}
	request.ContentLength = size
	request.Header.Set("Authorization", "Bearer "+secret)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "taskmill-runner")
	if size > askFirst {
		request.Header.Set("Expect", "100-continue")
	}
	response, err := g.client.Do(request)
	if err != nil {
		cancel(nil)
		watched.wait()
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) || errors.Is(cause, errNoAnswer) {
			err = cause
		}
		return nil, &transient{cause: withoutAddress(err)}
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, answerSize))
	response.Body.Close()
	// An early answer leaves the transport reading the body; nobody else may until it has let go.
	if err != nil || response.StatusCode != wanted {
		cancel(nil)
	}
	watched.wait()
	if err != nil {
		return nil, &transient{cause: withoutAddress(err)}
	}
	if response.StatusCode == wanted {
		return text, nil
	}
	return nil, judge(response, strings.ReplaceAll(string(text), secret, "…"))
}

// withoutAddress strips the method and address that net/http puts before an error.
func withoutAddress(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// judge turns an unwanted status into an error: worth another try, or final.
func judge(response *http.Response, text string) error {
	said := &refusal{status: response.StatusCode, words: oneLine(text, 200)}
	switch code := response.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return &transient{cause: said, after: retryAfter(response.Header.Get("Retry-After"), time.Now())}
	}
	return said
}

// retryAfter understands both forms of the header, seconds and a date; 0 without one.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if moment, err := http.ParseTime(header); err == nil {
		return max(moment.Sub(now), 0)
	}
	return 0
}

// address is the path of an artifact: each segment of its name escaped, the slashes kept.
func address(name string) string {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return "/artifacts/" + strings.Join(segments, "/")
}
