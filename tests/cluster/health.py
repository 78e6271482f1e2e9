"""Asks a component over HTTP whether it is well."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from http import HTTPStatus

# Some components make themselves a certificate that nobody signed; what they say is no secret.
_TLS = ssl.create_default_context()
_TLS.check_hostname = False
_TLS.verify_mode = ssl.CERT_NONE
_OPENER = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_TLS)
)


def answers(url: str) -> bool:
    try:
        with _OPENER.open(url, timeout=3) as response:
            return bool(response.status == HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False
