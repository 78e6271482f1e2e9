import json

import pytest

from taskmill.kube.auth import Credentials
from taskmill.kube.client import KubeClient
from wire.fake import FakeServer


@pytest.fixture
async def server():
    fake = FakeServer()
    await fake.http.start_server(shutdown_timeout=0)
    yield fake
    await fake.http.close()


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("first")
    return path


@pytest.fixture
def credentials(server, tmp_path, token_file):
    path = tmp_path / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server.url}}],
                "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            }
        )
    )
    return Credentials.from_kubeconfig(path)


@pytest.fixture
def seen():
    """What the request hook heard: (verb, kind, code)."""
    return []


@pytest.fixture
async def client(credentials, seen):
    def note(verb, resource, code, seconds):
        assert seconds >= 0
        seen.append((verb, resource.plural, code))

    async with KubeClient(credentials, timeout=1.0, watch_silence=0.5, on_request=note) as client:
        yield client
