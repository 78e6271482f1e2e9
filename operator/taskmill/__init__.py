"""taskmill runs containers to completion on Kubernetes."""
