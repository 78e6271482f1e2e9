"""Whatever a pod, a Job and their Events look like: what is true of every finding."""

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from builders import at, event, job, pod, stamp
from taskmill.diagnose.causes import diagnose
from taskmill.diagnose.facts import Container, Ended, Pod, Role, parse_event, parse_job, parse_pod
from taskmill.diagnose.finding import Seen, Stage
from taskmill.diagnose.text import SENTENCE_BYTES, sentence
from taskmill.plan import names

LABELS = {"step_label": names.LABEL_STEP, "attempt_label": names.LABEL_ATTEMPT}
RECORDED = Path(__file__).parents[2] / "e2e" / "verdicts" / "recorded"

bounded = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# -- what the API server may send -----------------------------------------------------------------

moments = st.one_of(
    st.integers(0, 200).map(stamp),
    st.sampled_from(["", "soon", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
)
said = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["not found", "memory limit", "denied", "no such file or directory", "語" * 2000, "\x1b[1m"]
    ),
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), said, moments
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)

REASONS = (
    "Completed", "Error", "OOMKilled", "StartError", "ContainerCannotRun", "ContainerStatusUnknown",
    "InvalidImageName", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "PodInitializing",
    "CreateContainerConfigError", "CreateContainerError", "CrashLoopBackOff", "ContainerCreating",
    "Evicted", "Terminated", "NodeLost", "DeadlineExceeded", "OutOfcpu", "PodFailed", "",
    "Unschedulable", "SchedulingGated", "DeletionByTaintManager", "EvictionByEvictionAPI",
    "BackoffLimitExceeded", "FailedMount", "FailedCreatePodSandBox", "FailedCreate",
    "SuccessfulCreate", "Pulled", "FailedToRetrieveImagePullSecret",
)  # fmt: skip
reasons = st.sampled_from(REASONS)


def fields(**known):
    """An object with some of these fields, each of which may be of another shape."""
    return st.fixed_dictionaries({}, optional={k: v | anything for k, v in known.items()})


noted = {"reason": reasons, "message": said}
ended_states = fields(
    **noted,
    exitCode=st.sampled_from([0, 1, 3, 126, 127, 137, 143, 255]),
    signal=st.integers(0, 70),
    startedAt=moments,
    finishedAt=moments,
)
states = fields(waiting=fields(**noted), running=fields(startedAt=moments), terminated=ended_states)
names_of_containers = st.sampled_from(["main", "helper", "fetch", "proxy"])
conditions = st.lists(
    fields(
        type=st.sampled_from(
            ["PodScheduled", "DisruptionTarget", "Ready", "Complete", "Failed", "FailureTarget"]
        ),
        status=st.sampled_from(["True", "False"]),
        lastTransitionTime=moments,
        **noted,
    ),
    max_size=4,
)
metas = fields(
    name=st.just("it"),
    uid=st.text(max_size=5),
    creationTimestamp=moments,
    deletionTimestamp=moments,
    deletionGracePeriodSeconds=st.integers(0, 60),
    labels=st.just({names.LABEL_STEP: "build", names.LABEL_ATTEMPT: "1"}),
)
specified = st.lists(
    fields(
        name=names_of_containers,
        restartPolicy=st.just("Always"),
        resources=fields(limits=fields(memory=st.just("1Gi"))),
    ),
    max_size=3,
)
reported = st.lists(
    fields(
        name=names_of_containers,
        state=states,
        lastState=states,
        ready=st.booleans(),
        restartCount=st.integers(0, 9),
    ),
    max_size=3,
)
PODS = fields(
    metadata=metas,
    spec=fields(
        nodeName=st.just("node-1"),
        containers=specified,
        initContainers=specified,
        terminationGracePeriodSeconds=st.integers(0, 60),
        activeDeadlineSeconds=st.integers(1, 9),
    ),
    status=fields(
        phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
        conditions=conditions,
        containerStatuses=reported,
        initContainerStatuses=reported,
        **noted,
    ),
)
JOBS = fields(
    metadata=metas,
    spec=fields(suspend=st.booleans()),
    status=fields(conditions=conditions, startTime=moments, completionTime=moments),
)
EVENTS = fields(lastTimestamp=moments, eventTime=moments, **noted)


def read(raw_job, raw_pod, raw_events, *, job_gone=False, pod_gone=False):
    """As the operator reads them; what is no Job at all is never looked at."""
    known = parse_job(raw_job, **LABELS) if raw_job else None
    return Seen(
        job=known or job().facts,
        pod=None if raw_pod is None else parse_pod(raw_pod),
        events=tuple(parse_event(raw) for raw in raw_events if isinstance(raw, dict)),
        job_gone=job_gone,
        pod_gone=pod_gone,
    )


arbitrary = st.builds(
    read,
    JOBS,
    st.none() | PODS,
    st.lists(EVENTS, max_size=3),
    job_gone=st.booleans(),
    pod_gone=st.booleans(),
)

# -- what it did send, and mutations of it ---------------------------------------------------------


def patched(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


@cache
def recorded():
    """Every picture of a Job, its pod and their Events in the recorded histories, in order."""
    pictures = {}
    for path in sorted(RECORDED.glob("*.json")):
        known, gone = {}, set()
        for moment in json.loads(path.read_text(encoding="utf-8"))["moments"]:
            uid = moment["uid"]
            if moment.get("deleted"):
                gone.add(uid)
            else:
                kind, raw = known.get(uid, (moment["kind"], {}))
                known[uid] = kind, patched(raw, moment["patch"])
            picture = picture_of(known, gone)
            if picture:
                pictures[json.dumps(picture, sort_keys=True)] = picture
    return tuple(pictures.values())


def picture_of(known, gone):
    of = {kind: [(u, raw) for u, (k, raw) in known.items() if k == kind] for kind in KINDS}
    if not of["Job"]:
        return None
    job_uid, raw_job = of["Job"][-1]
    pods = [(uid, raw) for uid, raw in of["Pod"] if is_owned(raw, job_uid)]
    pod_uid, raw_pod = pods[-1] if pods else (None, None)
    about = pod_uid or job_uid
    events = [e for _, e in of["Event"] if e.get("involvedObject", {}).get("uid") == about]
    return [raw_job, raw_pod, events, job_uid in gone, pod_uid in gone]


KINDS = ("Job", "Pod", "Event")


def is_owned(raw, uid):
    return any(o.get("uid") == uid for o in raw["metadata"].get("ownerReferences", ()))


BUILT = (
    pod(),
    pod().unschedulable("0/1 nodes are available: 1 Insufficient cpu."),
    pod().waiting("ImagePullBackOff", "not found"),
    pod().waiting("CreateContainerConfigError", 'secret "a" not found'),
    pod().running(3).silent(),
    pod().sidecar().running(3).crashing(1, "no config"),
    pod().beside().running(container="helper").exited(3, "cc: error").phase("Running"),
    pod().exited(0),
    pod().exited(3, "cc: error"),
    pod().exited(127, "maek: not found"),
    pod().exited(137),
    pod().limit("1Gi").exited(137, reason="OOMKilled"),
    pod().exited(143).disrupted("EvictionByEvictionAPI", "drained"),
    pod().exited(143).phase("Failed", "DeadlineExceeded"),
    pod().exited(137, reason="ContainerStatusUnknown", startedAt=None, finishedAt=None),
    pod().on().phase("Failed", "OutOfcpu", "no cpu"),
    pod().init().exited(1, container="prepare").waiting("PodInitializing").phase("Failed"),
    pod().exited(1, end=12).deleted(10, grace=30),
)
BUILT_EVENTS = (
    event("FailedMount", "timed out"),
    event("FailedCreate", "Error creating: forbidden: exceeded quota: small"),
    event("FailedCreatePodSandBox", "no network"),
)


def has_ended(raw_pod):
    main = parse_pod(raw_pod).main if raw_pod else None
    return main is not None and main.ended is not None


@cache
def sources(*, ended):
    """Pictures to start from: built ones as often as recorded ones."""
    built = [one.raw for one in BUILT if not ended or has_ended(one.raw)]
    kept = [picture for picture in recorded() if not ended or has_ended(picture[1])]
    jobs = [one.raw for one in (job(), job().failed(), job().suspended(), job().complete())]
    of_builders = st.tuples(
        st.sampled_from(jobs),
        st.sampled_from(built),
        st.lists(st.sampled_from(BUILT_EVENTS), max_size=2),
        st.just(False),
        st.just(False),
    )
    return st.one_of([of_builders, *([st.sampled_from(kept)] if kept else [])])


@st.composite
def realistic(draw, *, ended=False):
    """A picture as it is built or was recorded, with a few changes, as if it were corrupt."""
    *raws, job_gone, pod_gone = copy.deepcopy(draw(sources(ended=ended)))
    for _ in range(draw(st.integers(0, 3))):
        mutate(draw, draw(st.sampled_from([raw for raw in raws if raw])))
    return read(*raws, job_gone=job_gone, pod_gone=pod_gone)


def mutate(draw, target):
    """One place somewhere inside becomes another."""
    while True:
        keys = sorted(target) if isinstance(target, dict) else range(len(target))
        key = draw(st.sampled_from(keys))
        inside = target[key]
        if not (isinstance(inside, dict | list) and inside and draw(st.integers(0, 9))):
            break
        target = inside
    what = draw(st.sampled_from(["drop", "garble", "word", "time"]))
    if what == "drop":
        del target[key]
    else:
        target[key] = draw({"garble": anything, "word": reasons, "time": moments}[what])


pictures = arbitrary | realistic()
ends = realistic(ended=True)


# -- what is true ----------------------------------------------------------------------------------


@bounded
@given(what=pictures)
def test_whatever_is_seen_ends_in_words_that_fit(what):
    finding = diagnose(what)
    words = sentence(finding.sentence)
    assert len(words.encode()) <= SENTENCE_BYTES
    plain = finding.succeeded or (finding.stage is Stage.RUNNING and finding.reason is None)
    assert words or plain
    if finding.stage is Stage.ENDED:
        assert finding.succeeded is (finding.reason is None)
    else:
        assert not finding.succeeded
    if finding.fails_after is not None:
        assert finding.reason


@pytest.mark.parametrize("number", range(10))
def test_every_recorded_moment_ends_in_words(number):
    """In ten parts, so that a failure names the first."""
    for picture in recorded()[number::10]:
        finding = diagnose(read(*picture[:3], job_gone=picture[3], pod_gone=picture[4]))
        running = finding.stage is Stage.RUNNING
        assert sentence(finding.sentence) or finding.succeeded or running


PREPARED = Container(
    name="other",
    role=Role.INIT,
    ended=Ended(0, 0, "Completed", "prepared", None, None),
)
HELPING = Container(name="other", role=Role.SIDECAR, ready=True)


def beside(seen_pod: Pod, other: Container) -> Pod:
    """The pod with another container, which has run as long as the pod's own can have."""
    running = replace(other, started_at=seen_pod.created_at or job().facts.created_at)
    known = other if other.ended else running
    return replace(seen_pod, containers=(known, *seen_pod.containers))


@bounded
@given(what=ends, other=st.sampled_from([PREPARED, HELPING]))
def test_a_container_that_is_well_changes_no_reason_of_an_end(what, other):
    before = diagnose(what)
    assume(before.stage is Stage.ENDED)
    assume(any(c.ended or c.started_at for c in what.pod.containers))
    after = diagnose(replace(what, pod=beside(what.pod, other)))
    assert (after.stage, after.reason, after.succeeded) == (
        before.stage,
        before.reason,
        before.succeeded,
    )


@bounded
@given(
    what=ends,
    job_gone=st.booleans(),
    pod_gone=st.booleans(),
    deleted_after=st.none() | st.integers(0, 600),
    job_deleted=st.booleans(),
)
def test_an_end_of_the_tasks_container_stays_an_end_whatever_is_taken_away(
    what, job_gone, pod_gone, deleted_after, job_deleted
):
    before = diagnose(what)
    main = what.pod.main
    assume(before.stage is Stage.ENDED and main and main.ended)
    assume(not what.job.suspended)  # the same attempt may start anew
    deleted_at = what.pod.deleted_at
    if deleted_after is not None and deleted_at is None:
        deleted_at = at(deleted_after)
    after = diagnose(
        replace(
            what,
            job=replace(what.job, deleting=what.job.deleting or job_deleted),
            pod=replace(what.pod, deleted_at=deleted_at),
            job_gone=what.job_gone or job_gone,
            pod_gone=what.pod_gone or pod_gone,
        )
    )
    assert after.stage is Stage.ENDED
    assert after.succeeded is before.succeeded
    assert (after.exit_code, after.finished_at) == (before.exit_code, before.finished_at)
