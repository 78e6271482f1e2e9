"""The API server and nothing else: errors, credentials, requests, list-watch, leadership.

Raw Kubernetes dicts live here; what they mean is none of this room's business.
"""
