"""Moments, metadata, conditions."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from taskmill.api.meta import API_VERSION, Condition, ObjectMeta, parse_rfc3339, rfc3339

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24t12:00:00z",
        "2026-11-24T12:00:00+00:00",
        "2026-11-24T13:00:00+01:00",
        "2026-11-24T12:00:00.000Z",
        "2026-11-24T12:00:00.000000Z",
        "2026-11-24T12:00:00.000000000Z",
    ],
)
def test_a_moment_is_read_in_every_spelling(text):
    moment = parse_rfc3339(text)
    assert moment == NOON
    assert moment.tzinfo is UTC
    assert Condition.model_validate({**ready(), "lastTransitionTime": text}) == condition()


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-11-24T12:00:00", "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z"]
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)
    with pytest.raises(ValidationError):
        Condition.model_validate({**ready(), "lastTransitionTime": text})


def test_a_moment_is_written_in_whole_seconds_of_utc():
    east = timezone(timedelta(hours=5, minutes=30))
    assert rfc3339(datetime(2026, 11, 24, 17, 30, 0, 999_999, tzinfo=east)) == (
        "2026-11-24T12:00:00Z"
    )
    assert rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


def test_a_moment_without_an_offset_is_not_written():
    with pytest.raises(ValueError, match="needs an offset"):
        rfc3339(datetime(2026, 11, 24, 12))  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_back_to_the_second(moment):
    assert parse_rfc3339(rfc3339(moment)) == moment.replace(microsecond=0)


def test_metadata_that_is_not_set_is_not_written():
    assert ObjectMeta(name="a").to_api() == {"name": "a"}
    assert ObjectMeta(generate_name="a-", labels={"b": ""}).to_api() == {
        "generateName": "a-",
        "labels": {"b": ""},
    }


def test_metadata_dumps_what_it_read():
    meta = {
        "name": "a",
        "namespace": "n",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-11-24T12:00:00Z",
        "annotations": {"x": "y"},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "Task",
                "name": "t",
                "uid": "v",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
        "finalizers": ["f"],
    }
    assert ObjectMeta.model_validate(meta).to_api() == meta


def ready() -> dict[str, str]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": "",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }


def condition() -> Condition:
    return Condition(
        type="Ready", status="True", reason="Succeeded", message="", last_transition_time=NOON
    )


def test_a_condition_dumps_what_it_read_empty_message_included():
    assert condition().to_api() == ready()
