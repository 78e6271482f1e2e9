"""Whatever a Job or a pod looks like, it ends in a sentence and never in an exception."""

import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import at, event, job, pod, seen, stamp
from taskmill.api.reasons import Reason
from taskmill.diagnose.causes import diagnose
from taskmill.diagnose.facts import LONGEST_GRACE, Role, parse_event, parse_job, parse_pod
from taskmill.diagnose.finding import Finding, Seen, Stage
from taskmill.diagnose.text import SENTENCE_BYTES, sentence

LABELS = {"step_label": "taskmill.dev/step", "attempt_label": "taskmill.dev/attempt"}


def test_a_pod_is_read():
    read = (
        pod()
        .created(1)
        .on("node-7", 2)
        .init("fetch")
        .sidecar("proxy")
        .beside("helper")
        .limit("1Gi")
        .exited(0, "fetched", start=3, end=4, container="fetch")
        .running(5, container="proxy")
        .waiting("ContainerCreating", "soon", container="helper")
        .running(6)
        .disrupted("PreemptionByScheduler", "make room")
        .deleted()
        .asked_to_stop()
        .facts
    )
    assert (read.node, read.phase, read.created_at, read.scheduled_at) == (
        "node-7",
        "Running",
        at(1),
        at(2),
    )
    assert [(c.name, c.role) for c in read.containers] == [
        ("fetch", Role.INIT),
        ("proxy", Role.SIDECAR),
        ("main", Role.MAIN),
        ("helper", Role.SIDECAR),
    ]
    fetch, proxy, main, helper = read.containers
    assert fetch.ended
    assert (fetch.ended.exit_code, fetch.ended.message) == (0, "fetched")
    assert (fetch.ended.started_at, fetch.ended.finished_at) == (at(3), at(4))
    assert proxy.started_at == at(5)
    assert (main.started_at, main.memory_limit) == (at(6), "1Gi")
    assert read.main == main
    assert helper.waiting
    assert (helper.waiting.reason, helper.waiting.message) == ("ContainerCreating", "soon")
    assert read.disruption
    assert read.disruption.reason == "PreemptionByScheduler"
    assert (read.deleting, read.deadline_seconds, read.ended) == (True, 1, False)


@pytest.mark.parametrize(
    ("labels", "step", "attempt"),
    [
        ({"taskmill.dev/step": "test", "taskmill.dev/attempt": "12"}, "test", 12),
        ({"taskmill.dev/step": "test", "taskmill.dev/attempt": "-1"}, "test", 0),
        ({"taskmill.dev/step": 3, "taskmill.dev/attempt": None}, "", 0),
        (None, "", 0),
    ],
)
def test_whose_pod_it_is_is_read_from_its_labels(labels, step, attempt):
    built = pod()
    built.raw["metadata"]["labels"] = labels
    read = parse_pod(built.raw, **LABELS)
    assert (read.step, read.attempt) == (step, attempt)


@pytest.mark.parametrize(("written", "read"), [(90, 90), (None, None), ("90", None), (True, None)])
def test_the_deadline_of_a_job_is_read(written, read):
    built = job()
    built.raw["spec"]["activeDeadlineSeconds"] = written
    assert built.facts.deadline_seconds == read
    del built.raw["spec"]["activeDeadlineSeconds"]
    assert built.facts.deadline_seconds is None


def test_a_job_that_is_resumed_counts_as_suspended_until_its_controller_knows():
    built = job().started(0).condition("Suspended", "True", "JobSuspended")
    assert built.facts.suspended
    assert not built.condition("Suspended", "False", "JobResumed").facts.suspended
    over = job().started(0).condition("Suspended", "True", "JobSuspended").failed()
    assert not over.facts.suspended


def test_a_job_is_read():
    read = job("j", uid="u", step="test", attempt=3).created(4).suspended().facts
    assert (read.name, read.uid, read.step, read.attempt) == ("j", "u", "test", 3)
    assert (read.created_at, read.suspended, read.finished, read.deleting) == (
        at(4),
        True,
        False,
        False,
    )


def test_a_job_without_labels_and_owners_is_nobodys():
    built = job()
    del built.raw["metadata"]["labels"], built.raw["metadata"]["ownerReferences"]
    read = built.facts
    assert (read.step, read.attempt, read.owner_uid) == ("", 0, "")


def test_when_a_job_was_taken_up_is_read():
    built = job()
    assert built.facts.started_at is None
    built.raw["status"]["startTime"] = stamp(3)
    assert built.facts.started_at == at(3)


def test_why_the_kubelet_ended_a_pod_is_read():
    read = pod().on().phase("Failed", "Evicted", "the node was low on memory").facts
    assert (read.phase, read.reason, read.message, read.ended) == (
        "Failed",
        "Evicted",
        "the node was low on memory",
        True,
    )


def test_a_pod_is_unready_only_when_that_is_said():
    assert pod().running().facts.unready is None
    assert pod().running().condition("Ready", "True").facts.unready is None
    unready = (
        pod().running().condition("Ready", "False", "ContainersNotReady", "proxy").facts.unready
    )
    assert unready
    assert (unready.reason, unready.message) == ("ContainersNotReady", "proxy")


@pytest.mark.parametrize(
    ("given", "seconds"), [(45, 45), (None, 0), (-5, 0), (10**12, LONGEST_GRACE)]
)
def test_the_grace_period_of_a_pod_is_a_length_of_time(given, seconds):
    built = pod()
    if given is not None:
        built.raw["spec"]["terminationGracePeriodSeconds"] = given
    assert built.facts.grace_period == timedelta(seconds=seconds)


@pytest.mark.parametrize(("grace", "since"), [(None, 40), (0, 40), (30, 10)])
def test_a_pod_was_deleted_before_its_grace_period(grace, since):
    """The timestamp is the end of it."""
    built = pod().deleted(40)
    assert pod().facts.deleted_at is None
    if grace is not None:
        built.raw["metadata"]["deletionGracePeriodSeconds"] = grace
    assert built.facts.deleted_at == at(since)


def test_the_kubelets_last_word_makes_no_deletion_earlier_or_later():
    built = pod().grace(30).deleted(5, grace=30)
    asked, last_word = built.facts, built.deleted(9).facts
    assert last_word.deleted_at == at(9)
    assert last_word.after(asked).deleted_at == at(5)
    assert last_word.after(None).deleted_at == at(9)


@pytest.mark.parametrize("seen_before", [True, False])
def test_an_end_that_was_seen_before_the_deletion_is_no_consequence_of_it(seen_before):
    """Both in one second: only who saw it knows."""
    built = pod().exited(0, start=1, end=2)
    before = built.facts if seen_before else pod().running(1).facts
    taken = built.deleted(2, grace=30).facts.after(before)
    assert taken.ended_after_deletion == (not seen_before)
    again = built.deleted(3).facts.after(taken)
    assert (again.ended_after_deletion, again.deleted_at) == (not seen_before, at(2))


def test_a_job_that_is_about_to_fail_says_so_and_is_not_finished():
    read = job().failing("DeadlineExceeded", "too long", 9).facts
    assert read.failed
    assert (read.failed.reason, read.failed.at, read.finished) == ("DeadlineExceeded", at(9), False)


def test_a_job_is_finished_with_its_condition():
    assert job().failed().facts.finished
    assert job().complete(8).facts.finished
    assert job().complete(8).facts.completed_at == at(8)


def test_an_init_container_called_main_is_not_the_task():
    built = pod().init("main").exited(0, container="main")
    built.raw["spec"]["containers"][0]["name"] = "other"
    assert built.facts.main is None


def test_an_end_without_an_exit_code_is_no_success():
    finding = diagnose(seen(pod().exited(None).phase("Running")))
    assert (finding.stage, finding.succeeded, finding.exit_code) == (Stage.ENDED, False, None)


@pytest.mark.parametrize("code", ["3", True, 3.0])
def test_what_is_no_number_is_no_exit_code(code):
    assert diagnose(seen(pod().exited(code))).exit_code is None


def test_only_the_controller_among_the_owners_counts():
    built = job()
    owners = built.raw["metadata"]["ownerReferences"]
    owners.insert(0, {"kind": "Thing", "uid": "other"})
    assert built.facts.owner_uid == owners[1]["uid"]


def test_a_container_is_in_one_state():
    built = pod().sidecar().exited(1, container="proxy").waiting("ContainerCreating")
    proxy, main = built.facts.containers
    assert (proxy.waiting, proxy.started_at) == (None, None)
    assert (main.started_at, main.ended) == (None, None)


def test_a_container_without_a_memory_limit_has_none():
    assert pod().facts.main.memory_limit == ""


def test_a_container_that_is_started_again_tells_how_it_ended_before():
    built = pod().sidecar().waiting("CrashLoopBackOff", container="proxy")
    before = {"exitCode": 3, "message": "no config", "finishedAt": stamp(7)}
    (status,) = built.raw["status"]["initContainerStatuses"]
    status |= {"ready": True, "restartCount": 4, "lastState": {"terminated": before}}
    proxy = built.facts.containers[0]
    assert (proxy.ready, proxy.restarts) == (True, 4)
    assert proxy.ended_before
    assert (proxy.ended_before.exit_code, proxy.ended_before.message) == (3, "no config")
    assert proxy.ended_before.finished_at == at(7)


def test_a_container_that_was_never_started_again_is_not_ready_until_it_is_said():
    proxy = pod().sidecar().running(container="proxy").facts.containers[0]
    assert (proxy.ready, proxy.restarts, proxy.ended_before) == (False, 0, None)


@pytest.mark.parametrize("signal", [9, 0], ids=["by a signal", "by itself"])
def test_the_signal_that_ended_a_container_is_read(signal):
    more = {"signal": signal} if signal else {}
    ended = pod().exited(137, **more).facts.main.ended
    assert ended.signal == signal


def test_an_event_is_as_young_as_its_last_occurrence():
    raw = event("FailedMount", "no", 7) | {"eventTime": stamp(1)}
    assert parse_event(raw).at == at(7)


def test_an_event_is_as_young_as_the_last_of_its_series():
    raw = event("FailedMount", "no", 1) | {"series": {"lastObservedTime": "2026-11-24T12:00:30Z"}}
    assert parse_event(raw).at == at(30)
    assert parse_event({"eventTime": "2026-11-24T12:00:05.123456Z"}).at == at(5.123456)
    assert parse_event({}).at is None


# -- garbage --------------------------------------------------------------------------------------

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["True", "main", "Failed", "Always", "2026-11-24T12:00:00Z", "0001-01-01"])
)
words = st.sampled_from(
    [
        "metadata",
        "spec",
        "status",
        "state",
        "containers",
        "initContainers",
        "containerStatuses",
        "conditions",
        "labels",
        "name",
        "waiting",
        "running",
        "terminated",
        "exitCode",
        "startedAt",
        "reason",
        "message",
        "type",
        "ownerReferences",
    ]
) | st.text(max_size=8)
garbage = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)

PODS = (
    pod().on().init().sidecar().exited(0, container="prepare").running(container="proxy").running(),
    pod().exited(3, "log"),
    pod().exited(137, reason="OOMKilled").phase("Failed", "Evicted", "why"),
    pod().waiting("ImagePullBackOff", "not found"),
    pod().waiting("CreateContainerConfigError", "no secret").disrupted("PreemptionByScheduler"),
    pod().unschedulable("0/1 nodes"),
    pod().on().sidecar().exited(1, container="proxy").phase("Failed"),
)
JOBS = (
    job(),
    job().suspended(),
    job().failed("BackoffLimitExceeded", "m"),
    job().failed("DeadlineExceeded", "m"),
    job().failing("PodFailurePolicy", "m"),
    job().complete(),
)
EVENTS = (
    event("FailedMount", "no volume"),
    event("FailedCreate", 'Error creating: pods "p" is forbidden: exceeded quota'),
    event("FailedCreate", 'Error creating: pods "p" is forbidden: '),
    event("FailedCreate", "Error creating: x denied the request"),
    event("FailedMount", ""),
)


def places(node, path=()):
    """Paths of everything inside."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def mutated(draw, among):
    """A real object with up to three places removed, or replaced by anything."""
    raw = copy.deepcopy(draw(st.sampled_from(among)).raw)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(sorted(places(raw), key=repr)))
        parent = raw
        for key in path[:-1]:
            parent = parent[key]
        if isinstance(parent, dict) and draw(st.booleans()):
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(garbage)
        if not raw:
            break
    return raw


def says_something(finding: Finding) -> bool:
    """No failure and no cause is left without words, and none outgrows the status."""
    fails = finding.stage is Stage.ENDED and not finding.succeeded
    fatal = finding.fails_after is not None
    spoken = bool(sentence(finding.sentence)) if fails or fatal or finding.reason else True
    reasoned = finding.reason is not None if fails or fatal else True
    return spoken and reasoned and len(sentence(finding.sentence).encode()) <= SENTENCE_BYTES


facts = st.builds(
    Seen,
    job=mutated(JOBS).map(lambda raw: parse_job(raw, **LABELS) or job().facts),
    pod=st.none() | mutated(PODS).map(lambda raw: parse_pod(raw, **LABELS)),
    events=st.lists(st.sampled_from(EVENTS).map(parse_event), max_size=2).map(tuple),
    job_gone=st.booleans(),
    pod_gone=st.booleans(),
)


@given(raw=st.dictionaries(words, garbage, max_size=6))
def test_anything_at_all_can_be_read(raw):
    parse_job(raw, **LABELS)
    parse_event(raw)
    assert says_something(diagnose(Seen(job().facts, parse_pod(raw, **LABELS))))


@settings(max_examples=400)
@given(what=facts)
def test_a_mutilated_object_ends_in_a_sentence(what):
    assert says_something(diagnose(what))


@settings(max_examples=300)
@given(what=facts, more=facts)
def test_an_end_stays_an_end_when_more_is_known(what, more):
    before = diagnose(what)
    if before.stage is not Stage.ENDED or what.job.suspended:  # suspended: it may start anew
        return
    after = diagnose(
        replace(
            what,
            events=what.events + more.events,
            job_gone=what.job_gone or more.job_gone,
            pod_gone=what.pod_gone or more.pod_gone,
            job=replace(
                what.job,
                failed=what.job.failed or more.job.failed,
                deleting=what.job.deleting or more.job.deleting,
                finished=what.job.finished or more.job.finished,
            ),
            pod=what.pod
            and replace(
                what.pod,
                disruption=what.pod.disruption or (more.pod.disruption if more.pod else None),
                deleted_at=what.pod.deleted_at or (more.pod.deleted_at if more.pod else None),
            ),
        )
    )
    assert after.stage is Stage.ENDED
    assert after.succeeded == before.succeeded


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreate"])
def test_an_event_without_words_is_told_by_its_name(reason):
    built = [pod().on()] if reason == "FailedMount" else []
    message = 'Error creating: pods "p" is forbidden: ' if reason == "FailedCreate" else ""
    finding = diagnose(seen(*built, events=[event(reason, message)]))
    assert finding.reason in (Reason.MOUNT_FAILED, Reason.REJECTED)
    assert finding.sentence
