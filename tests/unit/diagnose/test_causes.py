"""Every cause with the sentence it is told in, in the order of the table of reasons."""

from datetime import timedelta

import pytest

from builders import JOB, at, event, job, pod, seen
from taskmill.api.reasons import Reason
from taskmill.diagnose.causes import CAUSES, diagnose
from taskmill.diagnose.finding import Stage

RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    " create failed: unable to start container process: error during container init: exec:"
    ' "/bin/nope": stat /bin/nope: no such file or directory: unknown'
)

ENDS = {
    "evicted for pressure on the node": (
        seen(pod().on().phase("Failed", "Evicted", "The node was low on resource: memory.")),
        Reason.EVICTED,
        "node node-1: The node was low on resource: memory.",
    ),
    "evicted by a drain": (
        seen(pod().exited(143).disrupted("EvictionByEvictionAPI", "Eviction API: evicting")),
        Reason.EVICTED,
        "node node-1: Eviction API: evicting",
    ),
    "evicted for a reason of a newer Kubernetes": (
        seen(pod().exited(137).disrupted("EvictionByMoonPhase")),
        Reason.EVICTED,
        "node node-1: EvictionByMoonPhase",
    ),
    "preempted": (
        seen(
            pod()
            .exited(143)
            .disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate")
        ),
        Reason.PREEMPTED,
        "node node-1: default-scheduler: preempting to accommodate",
    ),
    "preempted before it had a node, and gone": (
        seen(pod().disrupted("PreemptionByScheduler", "made room"), pod_gone=True),
        Reason.PREEMPTED,
        "pod build-1-x7k2p: made room",
    ),
    "the node was shut down": (
        seen(
            pod()
            .exited(143)
            .phase("Failed", "Terminated", "Pod was terminated in response to imminent shutdown.")
            .disrupted("TerminationByKubelet", "other words")
        ),
        Reason.NODE_SHUTDOWN,
        "node node-1: Pod was terminated in response to imminent shutdown.",
    ),
    "the node was lost": (
        seen(
            pod()
            .running()
            .disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
            pod_gone=True,
        ),
        Reason.NODE_LOST,
        "node node-1: Taint manager: deleting due to NoExecute taint",
    ),
    "the node forgot the container": (
        seen(pod().exited(137, reason="ContainerStatusUnknown")),
        Reason.NODE_LOST,
        "node node-1: the node lost track of the container",
    ),
    "the node refused the pod": (
        seen(pod().on().phase("Failed", "OutOfcpu", "Node didn't have enough resource: cpu")),
        Reason.EVICTED,
        "node node-1 refused the pod: OutOfcpu: Node didn't have enough resource: cpu",
    ),
    "the Job controller ended it while nobody else did": (
        seen(job().failed("DeadlineExceeded", "Job was active longer"), pod().running()),
        Reason.DEADLINE_EXCEEDED,
        "stopped by the Job controller: overdue",
    ),
    "the kubelet ended it while nobody else did": (
        seen(pod().exited(143).phase("Failed", "DeadlineExceeded", "Pod was active too long")),
        Reason.MAX_RUN_TIME_EXCEEDED,
        "stopped by the kubelet: overdue",
    ),
    "its pod was deleted and it ended of SIGTERM": (
        seen(pod().exited(143).deleted()),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted while it ran",
    ),
    "its pod was deleted and it had to be killed": (
        seen(pod().exited(137).deleted()),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted while it ran",
    ),
    "out of memory with a limit": (
        seen(pod().limit("512Mi").exited(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        "OOMKilled: memory limit 512Mi reached (exit code 137); raise resources.limits.memory",
    ),
    "out of memory without a limit": (
        seen(pod().exited(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        "OOMKilled: the node ran out of memory (exit code 137); raise resources.limits.memory",
    ),
    "the command does not exist, says the runtime": (
        seen(pod().exited(128, RUNC, reason="StartError")),
        Reason.START_FAILED,
        'exit code 128: exec: "/bin/nope": stat /bin/nope: no such file or directory',
    ),
    "the command cannot run, says the runtime without words": (
        seen(pod().exited(1, reason="ContainerCannotRun")),
        Reason.START_FAILED,
        "exit code 1: the command could not be started",
    ),
    "the command does not exist, says the shell": (
        seen(pod().exited(127, "script: 1: maek: not found\n")),
        Reason.START_FAILED,
        "exit code 127: script: 1: maek: not found",
    ),
    "the command is not executable, and nobody says a word": (
        seen(pod().exited(126)),
        Reason.START_FAILED,
        "exit code 126: the command cannot be executed",
    ),
    "an exit code with the last line of the log": (
        seen(pod().exited(3, "compiling\ncc: error: foo.c: No such file or directory\n")),
        Reason.ERROR,
        "exit code 3: cc: error: foo.c: No such file or directory",
    ),
    "an exit code and silence": (
        seen(pod().exited(3)),
        Reason.ERROR,
        "exit code 3",
    ),
    "a signal by its exit code": (
        seen(pod().exited(139)),
        Reason.ERROR,
        "exit code 139 (SIGSEGV)",
    ),
    "a signal that the runtime tells": (
        seen(pod().exited(255, signal=15)),
        Reason.ERROR,
        "exit code 255 (SIGTERM)",
    ),
    "killed, and nobody says for what": (
        seen(pod().exited(137)),
        Reason.ERROR,
        "exit code 137 (killed by SIGKILL, possibly out of memory)",
    ),
    "no exit code": (
        seen(pod().exited(None, reason="").phase("Failed")),
        Reason.ERROR,
        "it ended without an exit code",
    ),
    "an init container failed": (
        seen(
            pod()
            .on()
            .init("fetch")
            .exited(22, "curl: (22) 404\n", container="fetch")
            .waiting("PodInitializing")
            .phase("Failed")
        ),
        Reason.INIT_FAILED,
        "init container fetch: exit code 22: curl: (22) 404",
    ),
    "a sidecar failed before the task's container started": (
        seen(
            pod()
            .on()
            .sidecar("proxy")
            .exited(1, "no config", container="proxy")
            .waiting("PodInitializing")
            .phase("Failed")
        ),
        Reason.SIDECAR_FAILED,
        "sidecar proxy: exit code 1: no config",
    ),
    "the pod failed and none of its containers says why": (
        seen(pod().on().phase("Failed")),
        Reason.ERROR,
        "pod build-1-x7k2p failed: it does not say why",
    ),
    "the Job was deleted": (
        seen(job().deleted(), pod().running()),
        Reason.DELETED,
        f"Job {JOB} was deleted",
    ),
    "the Job is gone": (
        seen(pod().running(), job_gone=True),
        Reason.DELETED,
        f"Job {JOB} was deleted",
    ),
    "the pod is gone": (
        seen(pod().running(), pod_gone=True),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted",
    ),
    "the pod came and went unseen": (
        seen(job().failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")),
        Reason.DELETED,
        "its pod was deleted",
    ),
    "the Job failed for a reason of its own": (
        seen(job().failed("PodFailurePolicy", "matched rule 0")),
        Reason.ERROR,
        f"Job {JOB} failed: PodFailurePolicy: matched rule 0",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_told_with_its_cause(name):
    what, reason, sentence = ENDS[name]
    finding = diagnose(what)
    assert (finding.stage, finding.reason, finding.sentence) == (Stage.ENDED, reason, sentence)
    assert not finding.succeeded


NOT_FOUND = (
    'Back-off pulling image "registry.example.com/no:1": ErrImagePull: rpc error: code = NotFound'
    ' desc = failed to pull and unpack image "registry.example.com/no:1": failed to resolve'
    ' reference "registry.example.com/no:1": registry.example.com/no:1: not found'
)
AT_ONCE, MINUTE, HALF = timedelta(), timedelta(minutes=1), timedelta(seconds=30)

STARTS = {
    "the image's name cannot be read": (
        seen(pod().waiting("InvalidImageName", 'Failed to apply default image tag "A b"')),
        Reason.INVALID_IMAGE_NAME,
        'InvalidImageName: Failed to apply default image tag "A b"',
        AT_ONCE,
    ),
    "the image must be there and is not": (
        seen(pod().waiting("ErrImageNeverPull", "not present with pull policy of Never")),
        Reason.IMAGE_PULL_FAILED,
        "ErrImageNeverPull: not present with pull policy of Never",
        AT_ONCE,
    ),
    "the registry does not know the image": (
        seen(pod().waiting("ImagePullBackOff", NOT_FOUND)),
        Reason.IMAGE_PULL_FAILED,
        "cannot pull registry.example.com/no:1: registry.example.com/no:1: not found",
        MINUTE,
    ),
    "the registry refuses us": (
        seen(pod().waiting("ErrImagePull", "pull access denied, repository does not exist")),
        Reason.IMAGE_PULL_FAILED,
        "pull access denied, repository does not exist",
        MINUTE,
    ),
    "the registry's name does not resolve, which may pass": (
        seen(
            pod().waiting(
                "ErrImagePull", "dial tcp: lookup nowhere.invalid on 10.0.0.2:53: no such host"
            )
        ),
        Reason.IMAGE_PULL_FAILED,
        "lookup nowhere.invalid: no such host",
        None,
    ),
    "the registry does not answer, which may pass": (
        seen(pod().waiting("ImagePullBackOff", "i/o timeout")),
        Reason.IMAGE_PULL_FAILED,
        "i/o timeout",
        None,
    ),
    "the pull fails without words": (
        seen(pod().waiting("ImagePullBackOff", 'Back-off pulling image "a:1"')),
        Reason.IMAGE_PULL_FAILED,
        "the image cannot be pulled",
        None,
    ),
    "a sidecar's image cannot be pulled": (
        seen(
            pod()
            .sidecar("proxy")
            .waiting("ImagePullBackOff", "not found", container="proxy")
            .waiting("PodInitializing")
        ),
        Reason.IMAGE_PULL_FAILED,
        "sidecar proxy: not found",
        MINUTE,
    ),
    "a Secret is missing": (
        seen(pod().waiting("CreateContainerConfigError", 'secret "login" not found')),
        Reason.CONFIG_ERROR,
        'secret "login" not found',
        HALF,
    ),
    "the container cannot be made, without words": (
        seen(pod().waiting("CreateContainerError")),
        Reason.CONFIG_ERROR,
        "CreateContainerError",
        HALF,
    ),
    "the container cannot be made, which may pass": (
        seen(pod().waiting("CreateContainerError", "context deadline exceeded")),
        Reason.CONFIG_ERROR,
        "context deadline exceeded",
        None,
    ),
    "a volume cannot be mounted": (
        seen(
            pod().on().waiting("ContainerCreating"),
            events=[event("FailedMount", 'secret "tls" not found'), event("Odd", "later")],
        ),
        Reason.MOUNT_FAILED,
        'secret "tls" not found',
        None,
    ),
    "a volume cannot be attached": (
        seen(pod().on(), events=[event("FailedAttachVolume", "Multi-Attach error")]),
        Reason.MOUNT_FAILED,
        "Multi-Attach error",
        None,
    ),
    "nothing wrong is known": (
        seen(pod().on().waiting("ContainerCreating")),
        None,
        "starting on node-1",
        None,
    ),
    "an init container is at work": (
        seen(pod().on().init("fetch").running(container="fetch").waiting("PodInitializing")),
        None,
        "init container fetch is running",
        None,
    ),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_start_that_takes_its_time_says_why(name):
    what, reason, sentence, patience = STARTS[name]
    finding = diagnose(what)
    assert (finding.stage, finding.reason, finding.sentence, finding.fails_after) == (
        Stage.STARTING,
        reason,
        sentence,
        patience,
    )


REFUSED = 'Error creating: pods "build-1-" is forbidden: '

QUEUES = {
    "a queueing system holds the Job": (
        seen(job().suspended()),
        Reason.QUEUED,
        f"Job {JOB} is suspended: waiting its turn",
        None,
    ),
    "a gate holds the pod": (
        seen(pod().unschedulable("Scheduling is blocked", "SchedulingGated")),
        Reason.QUEUED,
        "the pod's scheduling gates are closed",
        None,
    ),
    "no node takes the pod": (
        seen(
            pod().unschedulable(
                "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
            )
        ),
        Reason.UNSCHEDULABLE,
        "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.",
        None,
    ),
    "the quota is used up": (
        seen(events=[event("FailedCreate", f"{REFUSED}exceeded quota: small, requested: pods=1")]),
        Reason.QUOTA_EXCEEDED,
        "exceeded quota: small, requested: pods=1",
        None,
    ),
    "the service account is missing": (
        seen(
            events=[
                event(
                    "FailedCreate",
                    f"{REFUSED}error looking up service account team/builder:"
                    ' serviceaccount "builder" not found',
                )
            ]
        ),
        Reason.CONFIG_ERROR,
        'error looking up service account team/builder: serviceaccount "builder" not found',
        HALF,
    ),
    "Pod Security refuses the pod": (
        seen(events=[event("FailedCreate", f'{REFUSED}violates PodSecurity "restricted:latest"')]),
        Reason.REJECTED,
        'violates PodSecurity "restricted:latest"',
        AT_ONCE,
    ),
    "a webhook refuses the pod": (
        seen(
            events=[
                event(
                    "FailedCreate", 'Error creating: admission webhook "p" denied the request: no'
                )
            ]
        ),
        Reason.REJECTED,
        'admission webhook "p" denied the request: no',
        AT_ONCE,
    ),
    "a webhook does not answer": (
        seen(events=[event("FailedCreate", "Error creating: Internal error: webhook timed out")]),
        Reason.QUEUED,
        "Internal error: webhook timed out",
        None,
    ),
    "nothing is known of its pod": (
        seen(),
        None,
        "waiting for its pod to be created",
        None,
    ),
    "nothing is known of its node": (
        seen(pod()),
        None,
        "waiting for a node",
        None,
    ),
}


@pytest.mark.parametrize("name", QUEUES)
def test_a_wait_for_room_says_for_what(name):
    what, reason, sentence, patience = QUEUES[name]
    finding = diagnose(what)
    assert (finding.stage, finding.reason, finding.sentence, finding.fails_after) == (
        Stage.QUEUED,
        reason,
        sentence,
        patience,
    )
    assert finding.since == at(0)


def test_the_tables_above_have_an_example_of_every_cause():
    examples = [what for table in (ENDS, STARTS, QUEUES) for what, *_ in table.values()]
    examples += [seen(pod().exited(0)), seen(pod().running())]
    examples += [seen(job().suspended(), pod().running().deleted(), pod_gone=True)]
    speaking = {next((c for c in CAUSES if c(what)), None) for what in examples}
    assert speaking - {None} == set(CAUSES)


def test_unschedulable_is_doubted_for_15_seconds():
    finding = diagnose(seen(pod().unschedulable("0/1 nodes are available")))
    assert finding.shown_after == timedelta(seconds=15)


def test_a_success_has_times_and_no_words():
    finding = diagnose(seen(pod().exited(0, "done", start=5, end=65)))
    assert finding.succeeded
    assert (finding.stage, finding.reason, finding.sentence) == (Stage.ENDED, None, "")
    assert (finding.exit_code, finding.started_at, finding.finished_at) == (0, at(5), at(65))


def test_a_success_whose_pod_was_never_seen_is_told_by_its_job():
    finding = diagnose(seen(job().complete(30)))
    assert finding.succeeded
    assert finding.finished_at == at(30)


@pytest.mark.parametrize(
    "later",
    [
        seen(job().complete(30), pod().running(), pod_gone=True),
        seen(job().complete(30), pod().running(), job_gone=True),
        seen(job().complete(30).deleted(), pod().running()),
    ],
    ids=["its pod is gone", "its Job is gone", "its Job is being deleted"],
)
def test_a_success_whose_pod_was_last_seen_running_is_told_by_its_job(later):
    """The pod's end came while a watch was down, or is late."""
    finding = diagnose(later)
    assert finding.succeeded
    assert finding.finished_at == at(30)


def test_a_running_container_has_its_start_and_no_words():
    finding = diagnose(seen(pod().running(7)))
    assert (finding.stage, finding.reason, finding.sentence) == (Stage.RUNNING, None, "")
    assert (finding.since, finding.started_at) == (at(7), at(7))


def test_the_clock_of_a_start_begins_when_the_pod_has_a_node():
    finding = diagnose(seen(pod().created(1).on(seconds=42)))
    assert finding.since == at(42)


def test_an_end_carries_code_signal_and_times():
    finding = diagnose(seen(pod().exited(143, start=2, end=9)))
    assert (finding.exit_code, finding.signal) == (143, 15)
    assert (finding.started_at, finding.finished_at) == (at(2), at(9))


def test_an_exit_code_above_128_that_is_no_signal_is_only_a_code():
    finding = diagnose(seen(pod().exited(255)))
    assert (finding.sentence, finding.exit_code, finding.signal) == ("exit code 255", 255, None)


def test_both_words_of_a_failing_pull_read_the_same():
    """The kubelet alternates between the two; each difference would be a write."""
    registry = 'failed to pull and unpack image "a:1": failed to resolve reference "a:1": not found'
    first = seen(pod().waiting("ErrImagePull", f"rpc error: code = NotFound desc = {registry}"))
    second = seen(
        pod().waiting(
            "ImagePullBackOff",
            'Back-off pulling image "a:1": ErrImagePull:'
            f" rpc error: code = NotFound desc = {registry}",
        )
    )
    assert diagnose(first) == diagnose(second)


# -- two causes at once ---------------------------------------------------------------------------

BOTH = {
    "a success outweighs an eviction": (
        seen(pod().exited(0).disrupted("EvictionByEvictionAPI")),
        None,
    ),
    "a success outweighs the deletion of its pod and Job": (
        seen(job().deleted(), pod().exited(0).deleted(), job_gone=True, pod_gone=True),
        None,
    ),
    "a success outweighs a sidecar that failed": (
        seen(pod().sidecar().exited(1, container="proxy").exited(0).phase("Failed")),
        None,
    ),
    "a success outweighs the Job's own deadline": (
        seen(job().failed("DeadlineExceeded"), pod().exited(0)),
        None,
    ),
    "an eviction outweighs the exit code it caused": (
        seen(pod().exited(143).phase("Failed", "Evicted", "low on memory")),
        Reason.EVICTED,
    ),
    "a lost node outweighs the deletion of the pod": (
        seen(pod().running().deleted().disrupted("DeletionByTaintManager"), pod_gone=True),
        Reason.NODE_LOST,
    ),
    "an eviction outweighs out of memory": (
        seen(pod().exited(137, reason="OOMKilled").phase("Failed", "Evicted")),
        Reason.EVICTED,
    ),
    "the kubelet's backstop outweighs the signal it sent": (
        seen(pod().exited(137).phase("Failed", "DeadlineExceeded")),
        Reason.MAX_RUN_TIME_EXCEEDED,
    ),
    "the deletion of the pod outweighs the signal it sent": (
        seen(pod().exited(143, "terminated").deleted()),
        Reason.DELETED,
    ),
    "an exit code of its own outweighs the deletion of the pod": (
        seen(pod().exited(3).deleted(), pod_gone=True),
        Reason.ERROR,
    ),
    "out of memory outweighs its exit code": (
        seen(pod().exited(137, "Killed", reason="OOMKilled")),
        Reason.OOM_KILLED,
    ),
    "the end of main outweighs a sidecar that failed first": (
        seen(pod().sidecar().exited(1, container="proxy").exited(3).phase("Failed")),
        Reason.ERROR,
    ),
    "an init container that failed outweighs a sidecar that did": (
        seen(
            pod()
            .sidecar()
            .init()
            .exited(1, container="proxy")
            .exited(1, container="prepare")
            .phase("Failed")
        ),
        Reason.INIT_FAILED,
    ),
    "an init container that failed outweighs a pod's reason that is new to us": (
        seen(pod().init().exited(1, container="prepare").phase("Failed", "SomethingNew")),
        Reason.INIT_FAILED,
    ),
    "a failed container outweighs the Job's own failure": (
        seen(job().failed(), pod().exited(3)),
        Reason.ERROR,
    ),
    "an image that cannot be pulled outweighs a missing Secret": (
        seen(
            pod()
            .beside()
            .waiting("CreateContainerConfigError", "no secret")
            .waiting("ImagePullBackOff", "not found", container="helper")
        ),
        Reason.IMAGE_PULL_FAILED,
    ),
    "a missing Secret outweighs a volume": (
        seen(
            pod().waiting("CreateContainerConfigError", "no secret"),
            events=[event("FailedMount", "no volume")],
        ),
        Reason.CONFIG_ERROR,
    ),
    "a suspended Job outweighs old Events": (
        seen(job().suspended(), events=[event("FailedCreate", f"{REFUSED}exceeded quota")]),
        Reason.QUEUED,
    ),
    "the newest Event outweighs an older one": (
        seen(
            events=[
                event("FailedCreate", f"{REFUSED}exceeded quota: a", 1),
                event("FailedCreate", f"{REFUSED}violates PodSecurity", 2),
            ]
        ),
        Reason.REJECTED,
    ),
}


@pytest.mark.parametrize("name", BOTH)
def test_of_two_causes_the_upper_one_is_told(name):
    what, reason = BOTH[name]
    finding = diagnose(what)
    assert finding.reason == reason
    assert finding.succeeded is (reason is None)


def test_a_disruption_that_is_only_announced_ends_nothing():
    finding = diagnose(seen(pod().running().disrupted("PreemptionByScheduler", "soon")))
    assert finding.stage is Stage.RUNNING


def test_a_suspended_job_whose_pod_was_taken_away_waits_again():
    """Kueue preempts by suspending: the same attempt is queued anew."""
    taken = pod().running().deleted()
    for what in (
        seen(job().suspended(), taken, pod_gone=True),
        seen(job().suspended(), pod().exited(143).deleted()),
    ):
        finding = diagnose(what)
        assert (finding.stage, finding.reason) == (Stage.QUEUED, Reason.QUEUED)


def test_an_old_event_about_a_volume_is_forgotten_once_a_container_has_run():
    """A cache of the kubelet's was late: volumes are mounted before any container starts."""
    events = [event("FailedMount", "failed to sync configmap cache: timed out")]
    for built in (
        pod().on().init("fetch").running(container="fetch").waiting("PodInitializing"),
        pod().on().init("fetch").exited(0, container="fetch").waiting("PodInitializing"),
    ):
        assert diagnose(seen(built, events=events)).reason is None


@pytest.mark.parametrize("later", ["Pulling", "Pulled", "Created", "Started"])
def test_a_volume_that_was_mounted_after_all_is_no_cause(later):
    events = [event("FailedMount", "timed out", 1), event(later, "words", 2)]
    assert diagnose(seen(pod().on(), events=events)).reason is None
    assert diagnose(seen(pod().on(), events=events[::-1])).reason is Reason.MOUNT_FAILED


def test_a_pod_that_was_refused_before_one_was_created_is_no_cause():
    events = [
        event("FailedCreate", f"{REFUSED}exceeded quota: small", 1),
        event("SuccessfulCreate", "Created pod: build-1-x7k2p", 2),
    ]
    assert diagnose(seen(events=events)).reason is None
    assert diagnose(seen(events=events[::-1])).reason is Reason.QUOTA_EXCEEDED


# -- other containers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        lambda built: built.beside("helper").running(container="helper"),
        lambda built: built.beside("helper").exited(0, container="helper"),
        lambda built: built.beside("helper").exited(9, "other words", container="helper"),
        lambda built: built.beside("helper").waiting("ContainerCreating", container="helper"),
        lambda built: built.sidecar("proxy").running(container="proxy"),
        lambda built: built.sidecar("proxy").exited(9, "other words", container="proxy"),
        lambda built: built.init("fetch").exited(0, "fetched", container="fetch"),
    ],
    ids=["runs", "done", "failed", "waits", "sidecar runs", "sidecar failed", "init done"],
)
@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: pod().exited(3, "my words"), Reason.ERROR),
        (lambda: pod().exited(127, "my words"), Reason.START_FAILED),
        (lambda: pod().limit("1Gi").exited(137, reason="OOMKilled"), Reason.OOM_KILLED),
        (lambda: pod().on().phase("Failed", "Evicted", "my words"), Reason.EVICTED),
        (lambda: pod().waiting("ImagePullBackOff", "not found"), Reason.IMAGE_PULL_FAILED),
        (lambda: pod().waiting("InvalidImageName", "my words"), Reason.INVALID_IMAGE_NAME),
        (lambda: pod().waiting("CreateContainerConfigError", "my words"), Reason.CONFIG_ERROR),
    ],
    ids=["error", "start", "oom", "evicted", "pull", "name", "config"],
)
def test_an_unrelated_container_never_hides_the_cause(build, reason, other):
    alone, beside = diagnose(seen(build())), diagnose(seen(other(build())))
    assert alone.reason is reason
    assert (beside.reason, beside.sentence) == (alone.reason, alone.sentence)
