"""A user's kubeconfig, with each way to prove who they are."""

import base64
import json
import sys
import time

import pytest
import yaml

from taskmill.cli.connect import Wanted, connect
from taskmill.kube.errors import CredentialsError


def config(path, user, **cluster):
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [
                    {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
                    {"name": "there", "context": {"cluster": "c", "user": "u"}},
                ],
                "clusters": [{"name": "c", "cluster": {"server": "http://api:8080", **cluster}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return {"KUBECONFIG": str(path)}


def jwt(expires):
    parts = ({"alg": "none"}, {"exp": expires})
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return ".".join(part.rstrip("=") for part in coded) + ".none"


def plugin():
    answer = {"status": {"token": "of-plugin"}}
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print('''{json.dumps(answer)}''')"],
    }


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ({"token": "t"}, [("Authorization", "Bearer t")]),
        ({"username": "a", "password": "b"}, [("Authorization", "Basic YTpi")]),
        ({"exec": plugin()}, [("Authorization", "Bearer of-plugin")]),
        ({}, []),
        (
            {"token": "t", "as": "jane", "as-groups": ["dev", "ops"]},
            [
                ("Authorization", "Bearer t"),
                ("Impersonate-User", "jane"),
                ("Impersonate-Group", "dev"),
                ("Impersonate-Group", "ops"),
            ],
        ),
    ],
    ids=["token", "password", "exec", "nothing", "as"],
)
def test_who_the_kubeconfig_says_we_are(tmp_path, user, headers):
    access = connect(Wanted(), config(tmp_path / "config", user))
    assert list(access.headers) == headers
    assert "Bearer" not in repr(access)


def test_open_id_connect_is_left_to_the_official_client(tmp_path):
    token = jwt(int(time.time()) + 3600)
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    env = config(tmp_path / "config", user)
    wanted = Wanted(kubeconfig=env["KUBECONFIG"])
    assert connect(wanted, {}).headers == (("Authorization", f"Bearer {token}"),)


def test_a_provider_that_gives_nothing_says_so(tmp_path):
    env = config(tmp_path / "config", {"auth-provider": {"name": "gone"}})
    with pytest.raises(CredentialsError, match="auth-provider 'gone' gives no token"):
        connect(Wanted(kubeconfig=env["KUBECONFIG"]), {})


def test_what_the_command_line_says_wins(tmp_path):
    env = config(tmp_path / "config", {"token": "t", "as": "jane"})
    access = connect(Wanted(as_user="joe", as_groups=("x",)), env)
    assert access.headers[1:] == (("Impersonate-User", "joe"), ("Impersonate-Group", "x"))
    assert access.namespace == "team"
    assert connect(Wanted(context="there"), env).namespace == "default"
    assert connect(Wanted(namespace="other"), env).namespace == "other"
    with pytest.raises(CredentialsError, match="no context called 'nowhere'"):
        connect(Wanted(context="nowhere"), env)


def test_groups_alone_are_nobody(tmp_path):
    with pytest.raises(CredentialsError, match="--as-group needs --as"):
        connect(Wanted(as_groups=("x",)), config(tmp_path / "config", {"token": "t"}))


@pytest.mark.parametrize(
    ("env", "cluster", "proxy"),
    [
        ({}, {}, None),
        ({}, {"proxy-url": "http://q"}, "http://q"),
        ({"http_proxy": "http://p"}, {}, "http://p"),
        ({"http_proxy": "http://p", "no_proxy": "api"}, {}, None),
        (
            {"http_proxy": "http://p", "no_proxy": "10.0.0.0/8"},
            {"server": "http://10.1.2.3"},
            None,
        ),
    ],
)
def test_proxies(tmp_path, monkeypatch, env, cluster, proxy):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    access = connect(Wanted(), env | config(tmp_path / "config", {}, **cluster))
    assert access.proxy == proxy
