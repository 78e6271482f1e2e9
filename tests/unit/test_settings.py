"""Settings come from the environment, and a wrong one is told by its name."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from taskmill.plan.world import Limits
from taskmill.settings import Address, Settings, SettingsError


def test_without_any_variable_everything_has_a_value():
    settings = Settings.from_environment({})
    assert settings.namespace == "taskmill-system"
    assert settings.namespaces == ()
    assert (settings.log_level, settings.log_format) == ("INFO", "text")
    assert settings.health_address is None
    assert settings.limits == Limits(
        timeout=timedelta(hours=24), job_retention=timedelta(hours=1), restricted=False
    )


def test_every_variable_is_taken():
    settings = Settings.from_environment(
        {
            "TASKMILL_NAMESPACE": "ops",
            "TASKMILL_NAMESPACES": "team-a, team-b,team-a,",
            "TASKMILL_IDENTITY": "pod-uid",
            "TASKMILL_JOB_RETENTION": "2m",
            "TASKMILL_TIMEOUT": "1h30m",
            "TASKMILL_POD_SECURITY": "restricted",
            "TASKMILL_LOG_TAIL": "off",
            "TASKMILL_LOG_LEVEL": "DEBUG",
            "TASKMILL_LOG_FORMAT": "json",
            "TASKMILL_HEALTH_ADDRESS": "localhost:8080",
        }
    )
    assert settings == Settings(
        namespace="ops",
        namespaces=("team-a", "team-b"),
        identity="pod-uid",
        limits=Limits(timedelta(minutes=90), timedelta(minutes=2), True, False),
        log_level="DEBUG",
        log_format="json",
        health_address=Address("localhost", 8080),
    )


def test_the_namespace_of_the_credentials_is_second_to_the_variable():
    assert Settings.from_environment({}, namespace="mine").namespace == "mine"
    given = {"TASKMILL_NAMESPACE": "ops"}
    assert Settings.from_environment(given, namespace="mine").namespace == "ops"


def test_two_processes_without_an_identity_differ():
    one, other = (Settings.from_environment({}).identity for _ in range(2))
    assert one != other


def test_the_environment_of_the_process_is_read(monkeypatch):
    monkeypatch.setenv("TASKMILL_LOG_LEVEL", "WARNING")
    assert Settings.from_environment().log_level == "WARNING"


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [(":8080", "", 8080), ("[::1]:0", "::1", 0), ("127.0.0.1:65535", "127.0.0.1", 65535)],
)
def test_an_address_is_a_host_and_a_port(given, host, port):
    address = Settings.from_environment({"TASKMILL_HEALTH_ADDRESS": given}).health_address
    assert address == (host, port)
    assert str(address) == given


@pytest.mark.parametrize("given", ["8080", "host:", ":http", ":65536", ":-1", ":²"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(SettingsError, match=r"HEALTH_ADDRESS is .* and must be host:port or :port"):
        Settings.from_environment({"TASKMILL_HEALTH_ADDRESS": given})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("NAMESPACES", "a,team-*", "TASKMILL_NAMESPACES: 'team-*' is no name of a namespace; "),
        ("NAMESPACES", "a b", "TASKMILL_NAMESPACES: 'a b' is no name of a namespace; "),
        ("TIMEOUT", "1 day", "TASKMILL_TIMEOUT: not a duration such as 30s, 10m or 1h30m: '1 day'"),
        ("TIMEOUT", "0s", "TASKMILL_TIMEOUT must be longer than 0s"),
        ("JOB_RETENTION", "119s", "TASKMILL_JOB_RETENTION must be at least 2m"),
        ("JOB_RETENTION", "x", "TASKMILL_JOB_RETENTION: not a duration such as"),
        (
            "POD_SECURITY",
            "baseline",
            "TASKMILL_POD_SECURITY is 'baseline' and must be one of '', 'restricted'",
        ),
        ("LOG_FORMAT", "yaml", "TASKMILL_LOG_FORMAT is 'yaml' and must be one of 'text', 'json'"),
        ("LOG_LEVEL", "debug", "TASKMILL_LOG_LEVEL is 'debug' and must be one of 'INFO', "),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(name, value, sentence):
    with pytest.raises(SettingsError) as told:
        Settings.from_environment({f"TASKMILL_{name}": value})
    assert str(told.value).startswith(sentence)


class Asked(dict):
    """An environment that notes what it is asked for."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return default


def test_the_page_on_installing_has_every_setting_and_no_other():
    asked = Asked()
    Settings.from_environment(asked)
    page = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `(TASKMILL_\w+)`", page, re.MULTILINE)) == asked.names
