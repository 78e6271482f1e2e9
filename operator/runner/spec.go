package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"
)

// specVersion is the only form of the spec that this program understands.
const specVersion = 1

// spec is what the operator wants done. It holds no secret.
type spec struct {
	Version   int        `json:"version"`
	Gateway   string     `json:"gateway"`   // http(s)://host:port
	CAFile    string     `json:"caFile"`    // trusted instead of the container's own; may be empty
	TokenFile string     `json:"tokenFile"` // read again for each request: the kubelet renews it
	Deadline  string     `json:"deadline"`  // RFC 3339; nothing is sent after it; may be empty
	Grace     int        `json:"grace"`     // seconds from SIGTERM to SIGKILL
	Artifacts []artifact `json:"artifacts"`

	deadline time.Time // zero: none
}

// artifact is one thing to upload: a file, or all files below a directory.
type artifact struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Path        string `json:"path"`
	ContentType string `json:"contentType"`
}

const (
	typeFile      = "File"
	typeDirectory = "Directory"
)

func readSpec(path string) (*spec, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	return parseSpec(text)
}

func parseSpec(text []byte) (*spec, error) {
	parsed := spec{Grace: 30}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	if parsed.Version != specVersion {
		return nil, fmt.Errorf("spec: version %d is not known, this runner understands version %d: "+
			"operator and runner must come from the same release", parsed.Version, specVersion)
	}
	gateway, err := url.Parse(parsed.Gateway)
	if err != nil || gateway.Host == "" || gateway.Scheme != "http" && gateway.Scheme != "https" {
		return nil, fmt.Errorf("spec: gateway %q is no http:// or https:// address", parsed.Gateway)
	}
	if parsed.Deadline != "" {
		if parsed.deadline, err = time.Parse(time.RFC3339, parsed.Deadline); err != nil {
			return nil, fmt.Errorf("spec: deadline: %w", err)
		}
	}
	if parsed.Grace < 0 {
		return nil, fmt.Errorf("spec: grace %d is negative", parsed.Grace)
	}
	for _, one := range parsed.Artifacts {
		if one.Name == "" || one.Path == "" {
			return nil, fmt.Errorf("spec: artifact %q at %q: name and path must be given", one.Name, one.Path)
		}
		if one.Type != typeFile && one.Type != typeDirectory {
			return nil, fmt.Errorf("spec: artifact %s: type %q is neither %s nor %s",
				one.Name, one.Type, typeFile, typeDirectory)
		}
	}
	return &parsed, nil
}
