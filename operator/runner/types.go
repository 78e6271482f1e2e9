package main

import (
	"path"
	"strings"
)

const unknownType = "application/octet-stream"

// contentTypes is a table of our own: the container's /etc/mime.types would make the same task give
// different answers on different images.
var contentTypes = map[string]string{
	".7z":      "application/x-7z-compressed",
	".avif":    "image/avif",
	".bz2":     "application/x-bzip2",
	".css":     "text/css; charset=utf-8",
	".csv":     "text/csv; charset=utf-8",
	".gif":     "image/gif",
	".gz":      "application/gzip",
	".htm":     "text/html; charset=utf-8",
	".html":    "text/html; charset=utf-8",
	".ico":     "image/x-icon",
	".jar":     "application/java-archive",
	".jpeg":    "image/jpeg",
	".jpg":     "image/jpeg",
	".js":      "text/javascript; charset=utf-8",
	".json":    "application/json",
	".jsonl":   "application/jsonl",
	".log":     "text/plain; charset=utf-8",
	".md":      "text/markdown; charset=utf-8",
	".mjs":     "text/javascript; charset=utf-8",
	".mp3":     "audio/mpeg",
	".mp4":     "video/mp4",
	".parquet": "application/vnd.apache.parquet",
	".pdf":     "application/pdf",
	".png":     "image/png",
	".svg":     "image/svg+xml",
	".tar":     "application/x-tar",
	".tgz":     "application/gzip",
	".toml":    "application/toml",
	".tsv":     "text/tab-separated-values; charset=utf-8",
	".txt":     "text/plain; charset=utf-8",
	".wasm":    "application/wasm",
	".wav":     "audio/wav",
	".webm":    "video/webm",
	".webp":    "image/webp",
	".xml":     "application/xml",
	".xz":      "application/x-xz",
	".yaml":    "application/yaml",
	".yml":     "application/yaml",
	".zip":     "application/zip",
	".zst":     "application/zstd",
}

// contentTypeOf goes by the extension of the artifact's name, then by that of the file.
func contentTypeOf(name, file string) string {
	for _, candidate := range []string{name, file} {
		if found := contentTypes[strings.ToLower(path.Ext(candidate))]; found != "" {
			return found
		}
	}
	return unknownType
}
