"""Which cluster, which user, and how fresh."""

import base64
import dataclasses
import datetime as dt
import json
import logging
import ssl
import sys

import kopf
import pytest

from taskmill.kube.auth import Credentials
from taskmill.kube.errors import CredentialsError
from taskmill.kube.kubeconfig import find_entry


def write(path, user, *, cluster=None, name="one", current=True, **context):
    config = {
        "contexts": [{"name": name, "context": {"cluster": name, "user": name} | context}],
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}"} | (cluster or {})}],
        "users": [{"name": name, "user": user}],
    }
    path.write_text(json.dumps(config | ({"current-context": name} if current else {})))
    return path


@pytest.fixture
def account(tmp_path):
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("sa-token\n")
    (folder / "namespace").write_text("home")
    return folder


POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_in_a_pod(account):
    entry = find_entry(POD, service_account=account)
    assert entry.cluster["server"] == "https://10.0.0.1:6443"
    assert entry.cluster["certificate-authority"] == str(account / "ca.crt")
    assert (entry.user, entry.namespace) == ({"tokenFile": str(account / "token")}, "home")


def test_in_a_pod_of_an_ipv6_cluster(account):
    entry = find_entry(POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account=account)
    assert entry.cluster["server"] == "https://[fd00::1]:6443"


def test_a_kubeconfig_set_on_purpose_wins_over_the_pod(account, tmp_path):
    path = write(tmp_path / "config", {"token": "t"})
    assert find_entry(POD | {"KUBECONFIG": str(path)}, service_account=account).context == "one"


def test_the_home_kubeconfig_comes_last(account, tmp_path):
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config", {"token": "t"})
    env = {"HOME": str(tmp_path)}
    assert find_entry(env, service_account=account).context == "one"
    assert find_entry(env | POD, service_account=account).context == "in-cluster"


def test_nothing_to_go_by(tmp_path):
    with pytest.raises(CredentialsError, match="KUBECONFIG is not set"):
        find_entry({"HOME": str(tmp_path)}, service_account=tmp_path)


def test_several_kubeconfigs_the_first_to_say_a_thing_wins(tmp_path):
    first = write(tmp_path / "a", {"token": "a"}, current=False)
    second = write(tmp_path / "b", {"token": "b"}, name="two", namespace="n")
    third = write(tmp_path / "c", {"token": "c"})
    paths = [tmp_path / "missing", first, second, third]
    entry = find_entry({"KUBECONFIG": ":".join(map(str, paths))})
    assert (entry.context, entry.namespace, entry.user) == ("two", "n", {"token": "b"})
    credentials = Credentials.from_kubeconfig(*paths, context="one")
    assert credentials.headers() == {"Authorization": "Bearer a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{token: [secret", "is not valid YAML"),
        ("", "is empty"),
        ("{contexts: []}", "no current-context"),
        ("{current-context: x}", "no context called 'x'"),
        ("{current-context: x, contexts: [{name: x, context: {cluster: y}}]}", "no cluster"),
    ],
)
def test_a_bad_kubeconfig_is_named_and_not_quoted(tmp_path, text, message):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(CredentialsError, match=message) as caught:
        Credentials.from_kubeconfig(path)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_paths_start_where_the_kubeconfig_is(tmp_path):
    (tmp_path / "tok").write_text("from-file")
    path = write(tmp_path / "config", {"tokenFile": "tok"})
    assert Credentials.from_kubeconfig(path).headers() == {"Authorization": "Bearer from-file"}


def test_a_token_file_is_read_again_every_minute(tmp_path):
    token = tmp_path / "tok"
    token.write_text("first")
    credentials = Credentials.from_kubeconfig(write(tmp_path / "config", {"tokenFile": "tok"}))
    token.write_text("second")
    assert credentials.headers() == {"Authorization": "Bearer first"}
    assert not credentials.is_stale
    left = credentials._identity.fresh_until - dt.datetime.now(dt.UTC)
    assert left <= dt.timedelta(minutes=1)
    credentials._identity = dataclasses.replace(
        credentials._identity, fresh_until=dt.datetime.now(dt.UTC)
    )
    assert credentials.is_stale
    assert credentials.headers() == {"Authorization": "Bearer second"}


def test_basic_auth_and_no_auth(tmp_path):
    basic = write(tmp_path / "a", {"username": "u", "password": "p"})
    header = "Basic " + base64.b64encode(b"u:p").decode()
    assert Credentials.from_kubeconfig(basic).headers() == {"Authorization": header}
    assert Credentials.from_kubeconfig(write(tmp_path / "b", {})).headers() == {}


def plugin(tmp_path, body, **extra):
    script = tmp_path / "plugin.py"
    script.write_text(body)
    api = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": api, "command": sys.executable, "args": [str(script)]} | extra}
    return write(tmp_path / "config", user)


ANSWER = """
import json, os, pathlib
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = pathlib.Path(__file__).with_suffix(".count")
n = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(n))
token = f"{os.environ.get('WHO', '')}{n}{asked['spec'].get('cluster', {}).get('server', '')}"
expires = EXPIRES
print(json.dumps({"kind": "ExecCredential", "apiVersion": asked["apiVersion"],
                  "status": {"token": token, "expirationTimestamp": expires}}))
"""


def test_an_exec_plugin_is_asked_and_its_answer_kept_until_it_expires(tmp_path):
    path = plugin(
        tmp_path,
        ANSWER.replace("EXPIRES", "'2999-01-01T00:00:00Z'"),
        env=[{"name": "WHO", "value": "w"}],
        provideClusterInfo=True,
    )
    credentials = Credentials.from_kubeconfig(path)
    for _ in range(2):
        assert credentials.headers() == {"Authorization": "Bearer w1http://one"}
    assert credentials.connection_info().expiration.year == 2999


def test_an_expired_answer_of_a_plugin_is_asked_for_again(tmp_path):
    path = plugin(tmp_path, ANSWER.replace("EXPIRES", "'2001-01-01T00:00:00Z'"))
    credentials = Credentials.from_kubeconfig(path)
    assert credentials.is_stale
    assert credentials.headers() == {"Authorization": "Bearer 2"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; sys.exit('log in first')", "exited with 1: log in first"),
        ("print('my-secret')", "did not answer with an ExecCredential"),
        ('print(\'{"status": {"expirationTimestamp": 3}}\')', "did not answer"),
        ("print('{}')", "did not answer"),
    ],
)
def test_a_failing_plugin_is_named(tmp_path, body, message):
    with pytest.raises(CredentialsError, match=message) as caught:
        Credentials.from_kubeconfig(plugin(tmp_path, body))
    assert "kubeconfig user 'one'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_plugin_is_named(tmp_path):
    with pytest.raises(CredentialsError, match="no-such' did not run"):
        Credentials.from_kubeconfig(plugin(tmp_path, "", command="./no-such"))


@pytest.mark.parametrize("key", ["auth-provider", "as", "as-groups"])
def test_what_is_not_supported_is_refused_by_name(tmp_path, key):
    path = write(tmp_path / "config", {key: {"name": "gcp"}})
    with pytest.raises(CredentialsError, match=f"'one' uses {key}; supported are .*exec"):
        Credentials.from_kubeconfig(path)


def test_another_terminals_use_context_does_not_move_us(tmp_path):
    path = write(tmp_path / "config", {"token": "a"})
    credentials = Credentials.from_kubeconfig(path)
    both = json.loads(path.read_text())
    other = json.loads(write(tmp_path / "other", {"token": "x"}, name="prod").read_text())
    for key in ("contexts", "clusters", "users"):
        both[key] += other[key]
    both["users"][0]["user"]["token"] = "renewed"
    path.write_text(json.dumps(both | {"current-context": "prod"}))
    credentials.refresh()
    assert credentials.server == "http://one"
    assert credentials.headers() == {"Authorization": "Bearer renewed"}


def test_no_secret_shows(tmp_path, caplog):
    user = {"token": "my-secret", "username": "u", "password": "my-secret"}
    with caplog.at_level(logging.DEBUG):
        credentials = Credentials.from_kubeconfig(write(tmp_path / "config", user))
        info = credentials.connection_info()
    shown = [repr(credentials), str(credentials), repr(info), str(info), caplog.text]
    shown += [repr(credentials._identity), repr(credentials._entry), repr(credentials._tls)]
    assert "my-secret" not in "".join(shown)


def test_what_kopf_gets(tmp_path):
    token = tmp_path / "tok"
    token.write_text("first")
    path = write(tmp_path / "config", {"tokenFile": "tok"}, namespace="n")
    credentials = Credentials.from_kubeconfig(path)
    info, same = credentials.connection_info(), credentials.connection_info()
    assert isinstance(info, kopf.ConnectionInfo)
    assert (info.server, info.default_namespace) == ("http://one", "n")
    assert info.as_http_headers() == {"Authorization": "Bearer first"}
    assert info.expiration > dt.datetime.now(dt.UTC)
    assert info == same
    token.write_text("second")
    assert credentials.connection_info() != info
    assert isinstance(info.as_ssl_context(), ssl.SSLContext)


def test_tls_verifies_but_not_strictly(tmp_path):
    path = write(tmp_path / "config", {}, cluster={"server": "https://one"})
    context = Credentials.from_kubeconfig(path).ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    path = write(
        tmp_path / "insecure",
        {},
        cluster={"server": "https://one", "insecure-skip-tls-verify": True},
    )
    assert Credentials.from_kubeconfig(path).ssl_context().verify_mode is ssl.CERT_NONE


def test_unreadable_certificates_are_named(tmp_path):
    for key, value in (
        ("certificate-authority", "nowhere.pem"),
        ("certificate-authority-data", base64.b64encode(b"no pem").decode()),
        ("certificate-authority-data", "\xff"),
    ):
        cluster = {"server": "https://one", key: value}
        with pytest.raises(CredentialsError, match=r"nowhere\.pem|certificate"):
            Credentials.from_kubeconfig(write(tmp_path / "config", {}, cluster=cluster))
