package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
)

// maxPart is the most that one request carries, in bytes.
const maxPart = 64 << 20

// partReader hashes what is read of one part of a file: alone, and as the continuation of what
// came before. It belongs to one try, so that a try that failed has left no trace in a hash.
type partReader struct {
	source io.Reader
	moved  func(n int64) // told how much of the part has been read
	alone  hash.Hash
	whole  hash.Hash
	size   int64
	failed error // the file could not be read
}

func (p *partReader) Read(buffer []byte) (int, error) {
	n, err := p.source.Read(buffer)
	p.alone.Write(buffer[:n])
	p.whole.Write(buffer[:n])
	p.size += int64(n)
	p.moved(p.size)
	if err != nil && err != io.EOF {
		p.failed = err
	}
	return n, err
}

// unreadable is a failure of the file's, not of the gateway's.
type unreadable struct{ cause error }

func (u *unreadable) Error() string { return u.cause.Error() }

// sendPart uploads up to size bytes of file from offset on as part index, and tells how many there were:
// fewer if the file has shrunk. whole is the hash of all before; the result continues it.
func (u *uploader) sendPart(ctx context.Context, name string, index int, file io.ReaderAt, offset, size int64, whole hash.Hash) (int64, hash.Hash, error) {
	path := fmt.Sprintf("%s/parts/%d", address(name), index)
	var sent *partReader
	err := u.retry.do(ctx, func(ctx context.Context) error {
		for size > 0 {
			continued, err := whole.(hash.Cloner).Clone()
			if err != nil {
				return err
			}
			sent = &partReader{
				source: io.NewSectionReader(file, offset, size),
				moved:  func(n int64) { u.progress.at.Store(offset + n) },
				alone:  sha256.New(),
				whole:  continued,
			}
			answer, err := u.gateway.put(ctx, path, sent, size, "application/octet-stream", http.StatusOK)
			switch {
			case err == nil:
				return sent.confirmedBy(answer)
			case sent.failed != nil:
				return &unreadable{sent.failed}
			case !sent.endedEarly(size, err):
				return err
			}
			size = sent.size // the file has shrunk: what is there is the part
		}
		return nil
	})
	if err != nil || size == 0 {
		return 0, whole, err
	}
	return sent.size, sent.whole, nil
}

// endedEarly is true if err comes from a file that has become shorter than what was announced.
func (p *partReader) endedEarly(announced int64, err error) bool {
	var passing *transient
	if !errors.As(err, &passing) || p.size >= announced {
		return false
	}
	// The connection may have broken at the same time: then the file is still longer.
	n, _ := p.source.Read(make([]byte, 1))
	return n == 0
}

// confirmedBy compares the gateway's word on a part with what was read.
func (p *partReader) confirmedBy(answer []byte) error {
	var stored struct {
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(answer, &stored); err != nil {
		return &transient{cause: fmt.Errorf("the gateway's answer is not understood: %w", err)}
	}
	if digest := hex.EncodeToString(p.alone.Sum(nil)); stored.Size != p.size || stored.SHA256 != digest {
		return &transient{cause: fmt.Errorf(
			"the gateway stored %d bytes with SHA-256 %.16q, sent were %d bytes with %.16q",
			stored.Size, stored.SHA256, p.size, digest)}
	}
	return nil
}
