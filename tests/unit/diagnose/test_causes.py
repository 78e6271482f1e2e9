"""Every cause with the sentence it is told in, in the order of the table of reasons."""

from dataclasses import replace
from datetime import timedelta

import pytest

from builders import JOB, at, event, job, pod, seen
from taskmill.api.reasons import REASONS, Payer, Reason
from taskmill.diagnose.causes import CAUSES, diagnose
from taskmill.diagnose.finding import Stage
from taskmill.diagnose.words import HINTS, RESTRICTED

RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc"
    " create failed: unable to start container process: error during container init: exec:"
    ' "/bin/nope": stat /bin/nope: no such file or directory: unknown'
)

ENDS = {
    "evicted for pressure on the node": (
        seen(pod().on().phase("Failed", "Evicted", "The node was low on resource: memory.")),
        Reason.EVICTED,
        "evicted from node node-1: The node was low on resource: memory.",
    ),
    "evicted for more storage than its own limit": (
        seen(
            pod()
            .exited(137)
            .phase(
                "Failed",
                "Evicted",
                "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ",
            )
        ),
        Reason.EVICTED,
        (
            "evicted from node node-1: Pod ephemeral local storage usage exceeds the total limit of"
            " containers 2Mi; write less, or raise resources.limits.ephemeral-storage"
        ),
    ),
    "evicted for a volume that was too full": (
        seen(
            pod()
            .on()
            .phase("Failed", "Evicted", 'Usage of EmptyDir volume "tmp" exceeds the limit "2Mi". ')
        ),
        Reason.EVICTED,
        (
            'evicted from node node-1: Usage of EmptyDir volume "tmp" exceeds the limit "2Mi";'
            " raise its sizeLimit"
        ),
    ),
    "evicted by a drain": (
        seen(pod().exited(143).disrupted("EvictionByEvictionAPI", "Eviction API: evicting")),
        Reason.EVICTED,
        "evicted from node node-1: Eviction API: evicting",
    ),
    "evicted for a reason of a newer Kubernetes": (
        seen(pod().exited(137).disrupted("EvictionByMoonPhase")),
        Reason.EVICTED,
        "evicted from node node-1: EvictionByMoonPhase",
    ),
    "preempted": (
        seen(
            pod()
            .exited(143)
            .disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate")
        ),
        Reason.PREEMPTED,
        "preempted on node node-1: default-scheduler: preempting to accommodate",
    ),
    "preempted before it had a node, and gone": (
        seen(pod().disrupted("PreemptionByScheduler", "made room"), pod_gone=True),
        Reason.PREEMPTED,
        "preempted on its node: made room",
    ),
    "the node was shut down": (
        seen(
            pod()
            .exited(143)
            .phase("Failed", "Terminated", "Pod was terminated in response to imminent shutdown.")
            .disrupted("TerminationByKubelet", "other words")
        ),
        Reason.NODE_SHUTDOWN,
        "node node-1 was shut down: Pod was terminated in response to imminent shutdown.",
    ),
    "the node was lost": (
        seen(
            pod()
            .running()
            .disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
            pod_gone=True,
        ),
        Reason.NODE_LOST,
        "node node-1 was lost: Taint manager: deleting due to NoExecute taint",
    ),
    "the node forgot the container": (
        seen(pod().exited(137, reason="ContainerStatusUnknown")),
        Reason.NODE_LOST,
        "node node-1: the node lost track of the container",
    ),
    "the node refused the pod": (
        seen(
            pod()
            .on()
            .phase("Failed", "OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu")
        ),
        Reason.EVICTED,
        "node node-1 refused the pod: OutOfcpu: Node didn't have enough resource: cpu",
    ),
    "the node refused the pod without words": (
        seen(pod().on().phase("Failed", "UnexpectedAdmissionError")),
        Reason.EVICTED,
        "node node-1 refused the pod: UnexpectedAdmissionError",
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
    "the kubelet ended it before it could start": (
        seen(pod().on().phase("Failed", "DeadlineExceeded", "Pod was active too long")),
        Reason.START_FAILED,
        "stopped by the kubelet: overdue",
    ),
    "its pod was deleted and it ended of SIGTERM": (
        seen(pod().exited(143, "bye", end=11).deleted(10, grace=30)),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted while it ran; it ended with exit code 143 (SIGTERM): bye",
    ),
    "its pod was deleted and it had to be killed": (
        seen(pod().exited(137, end=40).deleted(10, grace=30)),
        Reason.DELETED,
        (
            "pod build-1-x7k2p was deleted while it ran; it ended with exit code 137 (killed by"
            " SIGKILL, possibly out of memory)"
        ),
    ),
    "its pod was deleted and its program said 1 of SIGTERM": (
        seen(pod().exited(1, "cleaned up", end=15).deleted(10, grace=30)),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted while it ran; it ended with exit code 1: cleaned up",
    ),
    "its pod was deleted a second time, by force": (
        seen(pod().grace(30).exited(143, end=11).deleted(20, grace=0)),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted while it ran; it ended with exit code 143 (SIGTERM)",
    ),
    "its pod was deleted before it ran": (
        seen(
            pod()
            .exited(137, reason="ContainerStatusUnknown", startedAt=None, finishedAt=None)
            .deleted(10, grace=30)
        ),
        Reason.DELETED,
        "pod build-1-x7k2p was deleted",
    ),
    "out of memory with a limit": (
        seen(pod().limit("512Mi").exited(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        "OOMKilled: memory limit 512Mi reached (exit code 137); raise resources.limits.memory",
    ),
    "an init container ran out of the memory of its node": (
        seen(
            job().failed(),
            pod().init("fetch").exited(137, reason="OOMKilled", container="fetch").phase("Failed"),
        ),
        Reason.INIT_FAILED,
        "init container fetch: OOMKilled: the node ran out of memory (exit code 137)",
    ),
    "the command of an init container does not exist": (
        seen(
            job().failed(),
            pod()
            .init("fetch")
            .exited(127, "sh: crul: not found", container="fetch")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
        (
            "init container fetch: exit code 127: sh: crul: not found;"
            " check its command and what its image has"
        ),
    ),
    "an init container beyond the limit of its pod": (
        seen(
            job().failed(),
            pod()
            .pod_limit("64Mi")
            .init("fetch")
            .exited(137, reason="OOMKilled", container="fetch")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
        (
            "init container fetch: OOMKilled: the pod's memory limit 64Mi reached (exit code 137);"
            " raise its resources.limits.memory"
        ),
    ),
    "out of memory with a limit of the pod": (
        seen(pod().pod_limit("64Mi").exited(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        (
            "OOMKilled: the pod's memory limit 64Mi reached (exit code 137);"
            " raise resources.limits.memory"
        ),
    ),
    "out of memory without a limit": (
        seen(pod().exited(137, reason="OOMKilled")),
        Reason.OOM_KILLED,
        (
            "OOMKilled: the node ran out of memory (exit code 137);"
            " set resources.requests.memory to what it needs"
        ),
    ),
    "out of memory in a child, and the exit code is its parent's": (
        seen(pod().limit("1Gi").exited(2, "ld terminated with signal 9\n", reason="OOMKilled")),
        Reason.OOM_KILLED,
        (
            "OOMKilled: a process was killed for its memory limit 1Gi; then exit code 2:"
            " ld terminated with signal 9; raise resources.limits.memory"
        ),
    ),
    "the command does not exist, says the runtime": (
        seen(pod().exited(128, RUNC, reason="StartError")),
        Reason.START_FAILED,
        (
            'exit code 128: exec: "/bin/nope": stat /bin/nope: no such file or directory;'
            " check the command and what the image has"
        ),
    ),
    "the command cannot run, says the runtime without words": (
        seen(pod().exited(1, reason="ContainerCannotRun")),
        Reason.START_FAILED,
        "exit code 1: the command could not be started",
    ),
    "the command does not exist, says the shell": (
        seen(pod().exited(127, "script: 1: maek: not found\n")),
        Reason.START_FAILED,
        "exit code 127: script: 1: maek: not found; check the command and what the image has",
    ),
    "the command is not executable, says the shell": (
        seen(pod().exited(126, "script: line 0: /tmp/tool: Permission denied\n")),
        Reason.START_FAILED,
        (
            "exit code 126: script: line 0: /tmp/tool: Permission denied;"
            " check that the image's file may be executed"
        ),
    ),
    "the command is of another machine, says the shell": (
        seen(pod().exited(126, "script: line 1: ./tool: cannot run: Exec format error\n")),
        Reason.START_FAILED,
        (
            "exit code 126: script: line 1: ./tool: cannot run: Exec format error;"
            " the image is for another kind of machine, or a script lacks its #! line"
        ),
    ),
    "126, and nobody says that it is about a command": (
        seen(pod().exited(126)),
        Reason.ERROR,
        "exit code 126",
    ),
    "127 of a program that counts its failures": (
        seen(pod().exited(127, "127 tests failed")),
        Reason.ERROR,
        "exit code 127: 127 tests failed",
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
    "a failure after that of a sidecar": (
        seen(
            pod()
            .beside()
            .exited(3, "cannot listen", end=5, container="helper")
            .exited(7, "connection refused", end=9)
        ),
        Reason.ERROR,
        (
            "exit code 7: connection refused;"
            " sidecar helper had ended before with exit code 3: cannot listen"
        ),
    ),
    "its folder cannot be": (
        seen(pod().exited(128, "mkdir /etc/passwd: not a directory", reason="StartError")),
        Reason.START_FAILED,
        "exit code 128: mkdir /etc/passwd: not a directory; correct workingDir",
    ),
    "a probe had it killed": (
        seen(
            pod().exited(143, "working"),
            events=[event("Unhealthy", "Liveness probe failed: no answer"), event("Odd", "later")],
        ),
        Reason.ERROR,
        "exit code 143 (SIGTERM): working; it was killed: Liveness probe failed: no answer",
    ),
    "an init container failed": (
        seen(
            job().failed(),
            pod()
            .on()
            .init("fetch")
            .exited(22, "curl: (22) 404\n", container="fetch")
            .waiting("PodInitializing")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
        "init container fetch: exit code 22: curl: (22) 404",
    ),
    "an init container ran out of memory": (
        seen(
            job().failed(),
            pod()
            .on()
            .init("fetch")
            .exited(137, reason="OOMKilled", container="fetch")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
        "init container fetch: OOMKilled: the node ran out of memory (exit code 137)",
    ),
    "an init container could not start": (
        seen(
            job().failed(),
            pod()
            .on()
            .init("fetch")
            .exited(128, RUNC, reason="StartError", container="fetch")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
        (
            "init container fetch: exit code 128:"
            ' exec: "/bin/nope": stat /bin/nope: no such file or directory'
        ),
    ),
    "a sidecar failed before the task's container started": (
        seen(
            job().failed(),
            pod()
            .on()
            .sidecar("proxy")
            .exited(1, "no config", container="proxy")
            .waiting("PodInitializing")
            .phase("Failed"),
        ),
        Reason.SIDECAR_FAILED,
        "sidecar proxy: exit code 1: no config",
    ),
    "the pod failed and none of its containers says why": (
        seen(job().failed(), pod().on().phase("Failed")),
        Reason.ERROR,
        "pod build-1-x7k2p failed: it does not say why",
    ),
    "the pod failed while its container is said to run, and its Job has counted it": (
        seen(job().failed(), pod().running().phase("Failed", "Strange", "words")),
        Reason.ERROR,
        "pod build-1-x7k2p failed: Strange: words",
    ),
    "the pod failed while its container is said to run, and is gone": (
        seen(pod().running().phase("Failed"), pod_gone=True),
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

DENIED = (
    'rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/private/tool:2":'
    ' failed to resolve reference "docker.io/private/tool:2": pull access denied, repository does'
    " not exist or may require authorization"
)
NO_SECRET = event(
    "FailedToRetrieveImagePullSecret",
    "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not"
    " succeed.",
)
NON_ROOT = (
    'container has runAsNonRoot and image will run as root (pod: "build-1-x7k2p_team(4711)",'
    " container: main)"
)

STARTS = {
    "the image's name cannot be read": (
        seen(
            pod().waiting(
                "InvalidImageName",
                'Failed to apply default image tag "A b": couldn\'t parse image name "A b":'
                " invalid reference format",
            )
        ),
        Reason.INVALID_IMAGE_NAME,
        'couldn\'t parse image name "A b": invalid reference format; check image',
        AT_ONCE,
    ),
    "the image's name cannot be read, without words": (
        seen(pod().waiting("InvalidImageName")),
        Reason.INVALID_IMAGE_NAME,
        "InvalidImageName; check image",
        AT_ONCE,
    ),
    "the image must be there and is not": (
        seen(pod().waiting("ErrImageNeverPull", "not present with pull policy of Never")),
        Reason.IMAGE_PULL_FAILED,
        (
            "ErrImageNeverPull: not present with pull policy of Never;"
            " load the image onto the node, or change imagePullPolicy"
        ),
        AT_ONCE,
    ),
    "the registry does not know the image": (
        seen(pod().waiting("ImagePullBackOff", NOT_FOUND)),
        Reason.IMAGE_PULL_FAILED,
        "cannot pull registry.example.com/no:1: not found; check image and its tag",
        MINUTE,
    ),
    "the registry refuses us": (
        seen(pod().waiting("ErrImagePull", DENIED)),
        Reason.IMAGE_PULL_FAILED,
        (
            "cannot pull docker.io/private/tool:2: pull access denied, repository does not exist"
            " or may require authorization;"
            " check image, or give imagePullSecrets in podTemplate.spec"
        ),
        MINUTE,
    ),
    "the registry refuses us, and the pull secret is missing": (
        seen(
            pod().waiting("ErrImagePull", DENIED),
            events=[NO_SECRET, event("BackOff", "Back-off pulling image")],
        ),
        Reason.IMAGE_PULL_FAILED,
        (
            "cannot pull docker.io/private/tool:2: pull access denied, repository does not exist"
            " or may require authorization; pull secret regcred does not exist;"
            " create it, or correct imagePullSecrets"
        ),
        MINUTE,
    ),
    "the registry does not answer, and a missing pull secret shortens no wait": (
        seen(pod().waiting("ErrImagePull", "i/o timeout"), events=[NO_SECRET]),
        Reason.IMAGE_PULL_FAILED,
        "i/o timeout; pull secret regcred does not exist; create it, or correct imagePullSecrets",
        None,
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
        "sidecar proxy: not found; check image and its tag",
        MINUTE,
    ),
    "a Secret is missing": (
        seen(pod().waiting("CreateContainerConfigError", 'secret "login" not found')),
        Reason.CONFIG_ERROR,
        'secret "login" not found; create it, or set optional: true',
        HALF,
    ),
    "a key is missing": (
        seen(
            pod().waiting(
                "CreateContainerConfigError", "couldn't find key user in Secret team/login"
            )
        ),
        Reason.CONFIG_ERROR,
        "couldn't find key user in Secret team/login; add the key, or set optional: true",
        HALF,
    ),
    "the image runs as root, and may not": (
        seen(pod().waiting("CreateContainerConfigError", NON_ROOT)),
        Reason.CONFIG_ERROR,
        (
            "container has runAsNonRoot and image will run as root;"
            " set runAsUser in podTemplate.spec.securityContext"
        ),
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
            events=[
                event(
                    "FailedMount",
                    'MountVolume.SetUp failed for volume "tls" : secret "tls" not found',
                ),
                event("Odd", "later"),
            ],
        ),
        Reason.MOUNT_FAILED,
        'volume "tls": secret "tls" not found; create it, or set optional: true',
        None,
    ),
    "a volume cannot be attached": (
        seen(pod().on(), events=[event("FailedAttachVolume", "Multi-Attach error")]),
        Reason.MOUNT_FAILED,
        "Multi-Attach error",
        None,
    ),
    "the network of the pod cannot be made": (
        seen(
            pod().on().waiting("ContainerCreating"),
            events=[event("FailedCreatePodSandBox", "plugin returned an error")],
        ),
        Reason.START_FAILED,
        "FailedCreatePodSandBox: plugin returned an error",
        None,
    ),
    "the network of the node is not there": (
        seen(pod().on(), events=[event("NetworkNotReady", "cni config uninitialized")]),
        Reason.START_FAILED,
        "NetworkNotReady: cni config uninitialized",
        None,
    ),
    "a sidecar that must be ready first ends again and again": (
        seen(pod().on().sidecar().crashing(1, "no config").waiting("PodInitializing")),
        Reason.SIDECAR_FAILED,
        "sidecar proxy: exit code 1: no config; it is started again",
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
    "no node has room": (
        seen(
            pod().unschedulable(
                "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available."
            )
        ),
        Reason.UNSCHEDULABLE,
        (
            "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu;"
            " lower resources.requests, or add nodes"
        ),
        None,
    ),
    "no node may take the pod": (
        seen(
            pod().unschedulable(
                "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector,"
                " 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: no."
            )
        ),
        Reason.UNSCHEDULABLE,
        (
            "Unschedulable: 0/2 nodes are available: 1 node(s) didn't match Pod's node"
            " affinity/selector, 1 node(s) had untolerated taint(s);"
            " check nodeSelector, affinity and tolerations in podTemplate.spec"
        ),
        None,
    ),
    "the claim of a volume is missing": (
        seen(
            pod().unschedulable('0/1 nodes are available: persistentvolumeclaim "data" not found.')
        ),
        Reason.UNSCHEDULABLE,
        (
            'Unschedulable: 0/1 nodes are available: persistentvolumeclaim "data" not found;'
            " create it"
        ),
        None,
    ),
    "the quota is used up": (
        seen(events=[event("FailedCreate", f"{REFUSED}exceeded quota: small, requested: pods=1")]),
        Reason.QUOTA_EXCEEDED,
        (
            "its pod was refused: exceeded quota: small, requested: pods=1;"
            " free some of the quota, or raise it"
        ),
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
        (
            "its pod was refused: error looking up service account team/builder:"
            ' serviceaccount "builder" not found; create it, or correct serviceAccountName'
        ),
        HALF,
    ),
    "Pod Security refuses the pod": (
        seen(
            events=[
                event(
                    "FailedCreate",
                    f'{REFUSED}violates PodSecurity "restricted:latest": container "main"',
                )
            ]
        ),
        Reason.REJECTED,
        (
            'its pod was refused: violates PodSecurity "restricted:latest": container "main"; '
            f"{RESTRICTED}"
        ),
        AT_ONCE,
    ),
    "Pod Security refuses what no line can mend": (
        seen(events=[event("FailedCreate", f'{REFUSED}violates PodSecurity "baseline:latest"')]),
        Reason.REJECTED,
        'its pod was refused: violates PodSecurity "baseline:latest"',
        AT_ONCE,
    ),
    "the quota demands what is not given": (
        seen(events=[event("FailedCreate", f"{REFUSED}failed quota: q: must specify cpu for: a")]),
        Reason.REJECTED,
        "its pod was refused: failed quota: q: must specify cpu for: a; give them in resources",
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
        'its pod was refused: admission webhook "p" denied the request: no',
        AT_ONCE,
    ),
    "a webhook does not answer": (
        seen(events=[event("FailedCreate", "Error creating: Internal error: webhook timed out")]),
        Reason.QUEUED,
        "its pod was refused: Internal error: webhook timed out",
        None,
    ),
    "the pod is refused without a word": (
        seen(events=[event("FailedCreate", "")]),
        Reason.QUEUED,
        "its pod was refused",
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


RUNS = {
    "it runs": (seen(pod().running(7)), None, ""),
    "its node does not answer": (
        seen(pod().running(7).silent()),
        Reason.NODE_LOST,
        "node node-1 does not answer; its container may be running on",
    ),
    "its node does not answer, and its pod was given up": (
        seen(pod().running(7).silent().disrupted("DeletionByTaintManager").deleted(20)),
        Reason.NODE_LOST,
        "node node-1 does not answer and its pod was given up; waiting for it to end",
    ),
    "a container of it is not ready, which is its own affair": (
        seen(pod().running(7).condition("Ready", "False", "ContainersNotReady")),
        None,
        "",
    ),
    "a sidecar has failed": (
        seen(pod().beside().running(7).exited(3, "no config", container="helper")),
        None,
        "sidecar helper: exit code 3: no config",
    ),
    "a sidecar is done": (
        seen(pod().beside().running(7).exited(0, "done", container="helper")),
        None,
        "",
    ),
    "a sidecar fails again and again": (
        seen(pod().sidecar().running(7).crashing(1, "no config")),
        None,
        "sidecar proxy: exit code 1: no config",
    ),
    "a sidecar's image cannot be pulled": (
        seen(pod().beside().running(7).waiting("ImagePullBackOff", NOT_FOUND, container="helper")),
        None,
        "sidecar helper: cannot pull registry.example.com/no:1: not found",
    ),
    "a sidecar's image cannot be pulled, without words": (
        seen(pod().beside().running(7).waiting("ErrImagePull", container="helper")),
        None,
        "sidecar helper: the image cannot be pulled",
    ),
    "a sidecar starts": (
        seen(pod().beside().running(7).waiting("ContainerCreating", container="helper")),
        None,
        "",
    ),
    "an eviction is announced": (
        seen(pod().running(7).disrupted("PreemptionByScheduler", "soon")),
        None,
        "",
    ),
    "its deletion is under way": (seen(pod().running(7).deleted(9, grace=30)), None, ""),
}


@pytest.mark.parametrize("name", RUNS)
def test_what_runs_says_what_ails_it(name):
    what, reason, sentence = RUNS[name]
    finding = diagnose(what)
    assert (finding.stage, finding.reason, finding.sentence) == (Stage.RUNNING, reason, sentence)
    assert (finding.since, finding.started_at) == (at(7), at(7))
    assert finding.fails_after is None


FAILING = "its pod has failed; waiting for the node to say why"

ENDINGS = {
    "its container is still said to run": (seen(pod().running().phase("Failed")),),
    "its container was never said to run": (
        seen(pod().on().waiting("ContainerCreating").phase("Failed")),
    ),
    "its container was killed, and the pod is said to run": (
        seen(pod().exited(137).phase("Running")),
    ),
}
"""The kubelet tells of a pod's end in several steps."""


@pytest.mark.parametrize("name", ENDINGS)
def test_a_pod_that_has_failed_is_not_over_before_it_says_why(name):
    (what,) = ENDINGS[name]
    finding = diagnose(what)
    assert finding.stage is not Stage.ENDED
    # Of what ran there is nothing to tell in such a moment.
    told = FAILING if finding.stage is Stage.STARTING else ""
    assert (finding.reason, finding.sentence) == (None, told)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_pod_that_has_failed_is_over_once_its_job_has_counted_it_or_it_is_gone(name):
    (what,) = ENDINGS[name]
    for settled in (
        replace(what, job=job().failed().facts),
        replace(what, job=job().failing("BackoffLimitExceeded").facts),
        replace(what, pod_gone=True),
    ):
        assert diagnose(settled).stage is Stage.ENDED


def test_a_container_that_its_node_has_lost_is_not_starting_again():
    """Only the pod still says that it runs."""
    finding = diagnose(seen(pod().waiting("ContainerCreating").phase("Running")))
    assert (finding.stage, finding.reason, finding.sentence) == (Stage.RUNNING, None, "")


def test_a_pod_that_is_about_to_fail_runs_until_then():
    about = pod().running().condition("Ready", "False", "PodFailed")
    finding = diagnose(seen(about))
    assert (finding.stage, finding.sentence) == (Stage.RUNNING, "")


@pytest.mark.parametrize(
    "built",
    [
        pod().exited(137),
        pod().exited(137).phase("Running").deleted(5),
        pod().exited(137, reason="OOMKilled").phase("Running"),
        pod().beside().running(container="helper").exited(143).phase("Running"),
        pod().exited(3).phase("Running"),
    ],
    ids=["failed", "deleted", "out of memory", "beside another", "no signal"],
)
def test_an_end_that_explains_itself_is_told_at_once(built):
    assert diagnose(seen(built)).stage is Stage.ENDED


ALL_FINDINGS = {
    f"{table}: {name}": (name, diagnose(row[0]))
    for table, rows in (
        ("ends", ENDS), ("starts", STARTS), ("queues", QUEUES), ("runs", RUNS), ("fails", ENDINGS)
    )
    for name, row in rows.items()
}  # fmt: skip


def test_the_tables_above_have_an_example_of_every_cause():
    examples = [row[0] for table in (ENDS, STARTS, QUEUES, RUNS, ENDINGS) for row in table.values()]
    examples += [seen(pod().exited(0))]
    speaking = {next(cause for cause in CAUSES if cause.recognise(example)) for example in examples}
    assert [c.recognise.__name__ for c in CAUSES if c not in speaking] == []


def test_every_cause_names_the_source_of_its_rule():
    assert all(cause.source for cause in CAUSES)
    assert len({cause.recognise for cause in CAUSES}) == len(CAUSES)


def test_the_tables_above_have_an_example_of_every_advice():
    given = {
        next(
            (row for row in HINTS if row[0] is finding.reason and row[1].search(finding.sentence)),
            None,
        )
        for _, finding in ALL_FINDINGS.values()
        if any(finding.sentence.endswith(f"; {hint}") for *_, hint in HINTS)
    }
    assert [row for row in HINTS if row not in given] == []


# -- who pays --------------------------------------------------------------------------------------

PAYERS = {
    "evicted for more storage than its own limit": Payer.RETRY,
    "evicted for a volume that was too full": Payer.RETRY,
    "the image must be there and is not": None,
    "the registry does not know the image": None,
    "the registry refuses us": None,  # it does not say which of the two it is
    "the registry refuses us, and the pull secret is missing": None,
    "a sidecar's image cannot be pulled": None,
}
"""Whose payer is another than the table of reasons says."""


@pytest.mark.parametrize("name", ALL_FINDINGS)
def test_the_table_of_reasons_says_who_pays_but_for_what_the_verdict_knows_better(name):
    short, finding = ALL_FINDINGS[name]
    if finding.stage is Stage.RUNNING:
        assert finding.payer is None
        return
    usual = REASONS[finding.reason].payer if finding.reason else None
    assert finding.payer is PAYERS.get(short, usual)


def test_nobody_pays_for_a_success():
    assert diagnose(seen(pod().exited(0))).payer is None


def test_the_cluster_pays_for_a_registry_that_does_not_answer():
    finding = diagnose(seen(pod().waiting("ErrImagePull", "i/o timeout")))
    assert finding.payer is Payer.INFRA


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
        seen(pod().exited(3, end=9).deleted(10, grace=30), pod_gone=True),
        Reason.ERROR,
    ),
    "out of memory outweighs a later deletion of the pod": (
        seen(pod().limit("1Gi").exited(137, reason="OOMKilled", end=9).deleted(10, grace=30)),
        Reason.OOM_KILLED,
    ),
    "a command that was not found outweighs a later deletion of the pod": (
        seen(pod().exited(127, "sh: maek: not found", end=9).deleted(10, grace=30)),
        Reason.START_FAILED,
    ),
    "the deletion of the pod outweighs that its node forgot the container": (
        seen(pod().exited(137, reason="ContainerStatusUnknown", startedAt=None).deleted(10)),
        Reason.DELETED,
    ),
    "the deletion of the pod outweighs the exit code within its grace": (
        seen(pod().exited(1, "trapped", end=39).deleted(10, grace=30)),
        Reason.DELETED,
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
            job().failed(),
            pod()
            .sidecar()
            .init()
            .exited(1, container="proxy")
            .exited(1, container="prepare")
            .phase("Failed"),
        ),
        Reason.INIT_FAILED,
    ),
    "an init container that failed outweighs a pod's reason that is new to us": (
        seen(
            job().failed(),
            pod().init().exited(1, container="prepare").phase("Failed", "SomethingNew"),
        ),
        Reason.INIT_FAILED,
    ),
    "a failed container outweighs the Job's own failure": (
        seen(job().failed(), pod().exited(3)),
        Reason.ERROR,
    ),
    "what is fatal sooner outweighs what is fatal later": (
        seen(
            pod()
            .beside()
            .waiting("CreateContainerConfigError", "no secret")
            .waiting("ImagePullBackOff", "not found", container="helper")
        ),
        Reason.CONFIG_ERROR,
    ),
    "what is fatal outweighs what may pass": (
        seen(
            pod()
            .beside()
            .waiting("ImagePullBackOff", "i/o timeout")
            .waiting("InvalidImageName", "no", container="helper")
        ),
        Reason.INVALID_IMAGE_NAME,
    ),
    "the end of main outweighs what became of the rest of its pod long after": (
        seen(
            pod()
            .beside()
            .exited(3, "boom", end=5)
            .exited(137, end=700, container="helper")
            .phase("Failed", "Evicted", "low on memory")
        ),
        Reason.ERROR,
    ),
    "the end of main outweighs the Job's backstop": (
        seen(
            job().failed("DeadlineExceeded", "too long", seconds=700),
            pod().beside().exited(3, "boom", end=5).running(container="helper").phase("Running"),
        ),
        Reason.ERROR,
    ),
    "the deletion of the pod outweighs the end of its init container": (
        seen(
            job().failed(),
            pod().init("fetch").exited(143, container="fetch").phase("Failed").deleted(5),
        ),
        Reason.DELETED,
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
        (lambda: pod().exited(127, "my words: not found"), Reason.START_FAILED),
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


@pytest.mark.parametrize(
    "words",
    [
        "stat /var/lib/calico/nodename: no such file or directory",
        "open /run/flannel/subnet.env: no such file or directory",
    ],
)
def test_a_node_without_its_network_is_nothing_the_command_can_help(words):
    events = [event("FailedCreatePodSandBox", f'plugin type="x" failed (add): {words}')]
    finding = diagnose(seen(pod().on(), events=events))
    assert finding.sentence.endswith(words)


def test_a_volume_driver_that_is_missing_cannot_be_made_optional():
    words = "driver name a.b not found in the list of registered CSI drivers"
    finding = diagnose(seen(pod().on(), events=[event("FailedMount", words)]))
    assert "optional" not in finding.sentence


def test_the_storage_limit_of_one_container_is_the_tasks_own_too():
    """What the kubelet says where another container has a limit as well."""
    words = 'Container main exceeded its local ephemeral storage limit "2Mi". '
    finding = diagnose(seen(pod().exited(137).phase("Failed", "Evicted", words)))
    assert finding.payer is Payer.RETRY
    assert finding.sentence.endswith("raise resources.limits.ephemeral-storage")


def test_an_image_that_must_be_there_and_is_not_is_told_without_words():
    finding = diagnose(seen(pod().waiting("ErrImageNeverPull")))
    assert not finding.sentence.rstrip().endswith(":")


def test_a_child_that_died_for_the_nodes_memory_has_the_advice_of_its_parent():
    finding = diagnose(seen(pod().exited(5, "linker died", reason="OOMKilled")))
    assert finding.sentence.endswith("; set resources.requests.memory to what it needs")


def test_a_sidecar_that_ran_out_of_memory_before_is_told_with_the_failure():
    both = pod().beside().exited(137, reason="OOMKilled", end=5, container="helper")
    finding = diagnose(seen(both.exited(7, "connection refused", end=9)))
    assert "OOMKilled" in finding.sentence


@pytest.mark.parametrize(
    "built",
    [
        pod().running(5).phase("Failed"),
        pod().running(5).condition("Ready", "False", "PodFailed", seconds=9),
        pod().condition("Ready", "False", "X").exited(143, start=5, end=9).phase("Running"),
    ],
    ids=["failed", "about to fail", "killed"],
)
def test_what_waits_for_the_words_of_its_end_is_as_far_as_it_was(built):
    """Its clock is maxRunTime's, from its start."""
    finding = diagnose(seen(built))
    assert (finding.stage, finding.since, finding.started_at) == (Stage.RUNNING, at(5), at(5))
