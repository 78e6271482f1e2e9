"""What each refusal of a creation means for trying again."""

import json

import pytest

from builders import at, refusal
from taskmill.kube.errors import UnknownOutcome, error_from
from taskmill.plan.world import Refusal, Refused
from taskmill.reconcile.refusals import refused


def answer(status, reason, message, details=None):
    """The error for an answer of the API server."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": message}
    return error_from(status, json.dumps(body | ({"details": details} if details else {})))


QUOTA = answer(
    403,
    "Forbidden",
    'jobs.batch "a" is forbidden: exceeded quota: small, requested: count/jobs.batch=1',
)
WEBHOOK = 'admission webhook "policy.example.com" denied the request: no'


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (QUOTA, Refusal.QUOTA),
        (
            answer(403, "Forbidden", 'jobs "a" is forbidden: not yet ready to handle request'),
            Refusal.PASSING,
        ),
        (
            answer(403, "Forbidden", 'jobs "a" is forbidden: status unknown for quota: small'),
            Refusal.PASSING,
        ),
        (answer(403, "Forbidden", 'violates PodSecurity "restricted:latest"'), Refusal.FINAL),
        (answer(403, "Forbidden", WEBHOOK), Refusal.FINAL),
        (answer(400, "BadRequest", 'strict decoding error: unknown field "spec.x"'), Refusal.FINAL),
        (answer(422, "Invalid", 'Job.batch "a" is invalid: spec.x: Required'), Refusal.FINAL),
        (
            answer(
                403,
                "Forbidden",
                'jobs.batch is forbidden: User "system:serviceaccount:t:op" cannot create resource'
                ' "jobs" in API group "batch" in the namespace "team"',
            ),
            Refusal.PASSING,
        ),
        (
            answer(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"),
            Refusal.PASSING,
        ),
        (answer(500, "InternalError", "failed calling webhook: timed out"), Refusal.PASSING),
        (answer(503, "ServiceUnavailable", "try again"), Refusal.PASSING),
        (answer(504, "Timeout", "timed out"), Refusal.PASSING),
    ],
    ids=lambda value: getattr(value, "message", None) and value.message[:40],
)
def test_a_refusal_is_tried_again_only_where_that_can_help(error, kind):
    assert refused(error, at(3), None) == Refused(kind, error.message, at(3), at(13))


@pytest.mark.parametrize(
    "error",
    [
        answer(400, "", WEBHOOK),
        answer(406, "NotAcceptable", WEBHOOK),
        answer(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
    ],
    ids=["a webhook that gives no code", "a webhook with a code of its own", "too large"],
)
def test_a_refusal_of_an_unusual_kind_is_final_too(error):
    assert refused(error, at(0), None).kind is Refusal.FINAL


def test_the_servers_words_are_kept_in_one_line():
    error = answer(422, "Invalid", "first\n\x1b[31msecond " + "x" * 1000)
    words = refused(error, at(0), None).message
    assert words.startswith("first second xxx")
    assert len(words) == 400


@pytest.mark.parametrize(
    ("error", "terminating"),
    [
        (
            answer(
                403,
                "Forbidden",
                'jobs.batch "a" is forbidden: unable to create new content in namespace team'
                " because it is being terminated",
            ),
            True,
        ),
        (answer(403, "Forbidden", "no", {"causes": [{"reason": "NamespaceTerminating"}]}), True),
        (answer(403, "Forbidden", "no", {"causes": [{"reason": "FieldValueInvalid"}]}), False),
        (answer(403, "Forbidden", "no", {"causes": None}), False),
        (QUOTA, False),
    ],
)
def test_a_namespace_that_goes_away_is_left_alone_for_a_while(error, terminating):
    told = refused(error, at(0), None)
    assert told.again_at == at(30 if terminating else 10)
    if terminating:
        assert told.kind is Refusal.PASSING


def test_what_is_missing_may_come():
    error = answer(404, "NotFound", 'namespaces "team" not found')
    assert refused(error, at(3), None) == Refused(Refusal.PASSING, error.message, at(3), at(33))


def test_a_throttled_creation_waits_as_long_as_it_is_told():
    error = error_from(429, "{}", retry_after="7")
    told = refused(error, at(3), None)
    assert (told.kind, told.since, told.again_at) == (Refusal.PASSING, at(3), at(10))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnknownOutcome("the connection broke"), "the connection broke"),
        (UnknownOutcome("500", error=answer(500, "", "webhook is away")), "webhook is away"),
    ],
    ids=["no answer", "a server error"],
)
def test_an_unknown_outcome_may_pass(error, words):
    told = refused(error, at(3), None)
    assert told == Refused(Refusal.PASSING, words, at(3), at(13), unknown=True)


@pytest.mark.parametrize("error", [QUOTA, UnknownOutcome("broken")], ids=["refused", "unknown"])
def test_a_row_of_refusals_began_with_the_first(error):
    told = refused(error, at(50), refusal(Refusal.PASSING, seconds=3))
    assert (told.since, told.again_at) == (at(3), at(60))
