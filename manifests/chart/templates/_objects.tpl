{{- /* The objects of one of files/, which manifests/ has too: in the release's namespace, for its account. */ -}}
{{- define "taskmill.objects" -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $account := printf "system:serviceaccount:%s:" $namespace -}}
{{- $text := .root.Files.Get .file | replace "system:serviceaccount:taskmill-system:" $account -}}
{{- range $part := splitList "\n---\n" ($text | replace "namespace: taskmill-system" (printf "namespace: %s" $namespace)) }}
{{- $object := fromYaml $part }}
{{- if not (has $object.kind ($.without | default list)) }}
{{- $labels := merge (dict "app.kubernetes.io/part-of" "taskmill") (get $object.metadata "labels" | default dict) }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- with $.namespace }}{{ $_ := set $object.metadata "namespace" . }}{{ end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end -}}
