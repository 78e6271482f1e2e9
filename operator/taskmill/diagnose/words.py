"""What others say, cut down to what a reader of a status can use."""

from __future__ import annotations

import re
import signal as signals
from typing import Final

from taskmill.api.reasons import Reason
from taskmill.diagnose.facts import Container, Ended, Role
from taskmill.diagnose.text import clean, last_line, quote

SIGNAL_BASE: Final = 128
"""Shells and container runtimes report an end by signal n as exit code 128+n."""
SIGKILL_CODE: Final = SIGNAL_BASE + signals.SIGKILL


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; "" for no signal Linux knows."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return ""


def describe_exit(ended: Ended) -> str:
    """`exit code 3`, `exit code 143 (SIGTERM)`, or what is known when there is no code."""
    code = ended.exit_code
    if code < 0:
        return ended.reason or "it ended without an exit code"
    name = signal_name(ended.signal or code - SIGNAL_BASE)
    if code == SIGKILL_CODE:
        return f"exit code {code} (killed by SIGKILL, possibly out of memory)"
    return f"exit code {code} ({name})" if name else f"exit code {code}"


def outcome(ended: Ended) -> str:
    """How a container ended, and the last line it printed."""
    return followed(describe_exit(ended), last_line(ended.message))


def followed(what: str, words: str) -> str:
    """`what: words`, or what there is of them."""
    return ": ".join(filter(None, (what, words)))


def called(container: Container) -> str:
    """What it is and its name."""
    return f"{container.role.value} {container.name}"


def of(container: Container) -> str:
    """Which container is meant, where it is not the task's own."""
    return "" if container.role is Role.MAIN else f"{called(container)}: "


def pull(message: str) -> str:
    """The registry's answer without the kubelet's and containerd's wrapping.

    The kubelet alternates between ErrImagePull and ImagePullBackOff; both must read the same, or
    each change would be a write.
    """
    words = clean(message)
    words = re.sub(r'^Back-off pulling image "[^"]*"(: ErrImagePull)?:? ?', "", words)
    words = re.sub(r"^(rpc error: code = \w+ desc = )", "", words)
    words = re.sub(
        r'^failed to pull and unpack image "(?P<image>[^"]*)": failed to (resolve reference'
        r' "[^"]*"|copy): ',
        r"cannot pull \g<image>: ",
        words,
    )
    words = re.sub(r"^cannot pull (\S+): \1: ", r"cannot pull \1: ", words)
    words = re.sub(r'failed to do request: \w+ "[^"]*": ', "", words)
    words = re.sub(r"dial tcp: lookup (\S+) on \S+: ", r"lookup \1: ", words)
    words = re.sub(r"read udp \S+->\S+ ", "", words)
    return quote(words)


def scheduler(message: str) -> str:
    """Why no node takes the pod."""
    # What follows, about preemption, repeats it for whoever is not the scheduler.
    said = re.split(r"[.,] (?:preemption:|no new claims)", message)[0]
    return quote(said.removesuffix(". not found")).rstrip(" ,.")


def runtime(message: str) -> str:
    """What runc says of a command it cannot start, without the layers above it."""
    words = clean(message)
    words = re.sub(r"^.*?OCI runtime create failed: ", "", words)
    words = re.sub(r"^runc create failed: unable to start container process: ", "", words)
    words = re.sub(r"^error during container init: ", "", words)
    return quote(words.removesuffix(": unknown"))


def admission(message: str) -> str:
    """Why the kubelet did not admit a pod."""
    return quote(message.removeprefix("Pod was rejected: "))


def configuration(message: str) -> str:
    """Why a container cannot be made."""
    return re.sub(r' \(pod: "[^"]*", container: [^)]*\)$', "", runtime(message))


def mount(message: str) -> str:
    """Why a volume cannot be mounted."""
    words = clean(message)
    words = re.sub(r'^MountVolume\.SetUp failed for volume ("[^"]*") : ', r"volume \1: ", words)
    return quote(words)


def image_name(message: str) -> str:
    """Why the image's name cannot be read."""
    return quote(re.sub(r'^Failed to apply default image tag "[^"]*": ', "", clean(message)))


def refusal(message: str) -> str:
    """Why the API server refused an object, without repeating which."""
    said = re.sub(r'^\S+ "[^"]*" is (forbidden|invalid): ', "", clean(message))
    said = re.sub(r'^Job in version "v1" cannot be handled as a Job: ', "", said)
    # The Job is ours; its author wrote a podTemplate.
    return quote(said.replace("spec.template.", "podTemplate."))


def creation(message: str) -> str:
    """Why the API server refused a pod to the Job controller."""
    return quote(re.sub(r'^Error creating: (pods "[^"]*" is forbidden: )?', "", clean(message)))


RESTRICTED: Final = (
    "give podTemplate.spec {securityContext: {runAsNonRoot: true, runAsUser: 1000,"
    " seccompProfile: {type: RuntimeDefault}}, containers: [{name: main, securityContext:"
    " {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}"
)

PASSING: Final = re.compile(
    r"not yet ready to handle request|status unknown for quota|being terminated"
    r"|failed calling webhook|internal error",
    re.IGNORECASE,
)
"""Refusals that say nothing about what was asked for: it is asked for again."""

HINTS: Final[tuple[tuple[Reason, re.Pattern[str], str], ...]] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE), hint)
    for reason, pattern, hint in (
        (Reason.EVICTED, r"local storage usage exceeds|exceeded its local ephemeral storage",
         "write less, or raise resources.limits.ephemeral-storage"),
        (Reason.EVICTED, r"usage of emptydir volume .* exceeds", "raise its sizeLimit"),
        (Reason.OOM_KILLED, r"memory limit", "raise resources.limits.memory"),
        (Reason.OOM_KILLED, r"node ran out|node's memory",
         "set resources.requests.memory to what it needs"),
        (Reason.START_FAILED, r"cwd must be|^exit code \d+: mkdir", "correct workingDir"),
        (Reason.START_FAILED, r"^exit code .*(no such file|not found)",
         "check the command and what the image has"),
        (Reason.START_FAILED, r"^exit code .*(permission denied|cannot execute)",
         "check that the image's file may be executed"),
        (Reason.START_FAILED, r"exec format error",
         "the image is for another kind of machine, or a script lacks its #! line"),
        (Reason.INIT_FAILED, r"memory limit", "raise its resources.limits.memory"),
        (Reason.INIT_FAILED, r"exit code 12[678]: .*not found",
         "check its command and what its image has"),
        (Reason.INVALID_IMAGE_NAME, r"", "check image"),
        (Reason.IMAGE_PULL_FAILED, r"never pull|pull policy of never",
         "load the image onto the node, or change imagePullPolicy"),
        (Reason.IMAGE_PULL_FAILED, r"pull secret", "create it, or correct imagePullSecrets"),
        (Reason.IMAGE_PULL_FAILED, r"unauthorized|denied|forbidden|authentication required",
         "check image, or give imagePullSecrets in podTemplate.spec"),
        (Reason.IMAGE_PULL_FAILED, r"not found|manifest unknown|does not exist",
         "check image and its tag"),
        (Reason.CONFIG_ERROR, r"runasnonroot|non-root",
         "set runAsUser in podTemplate.spec.securityContext"),
        (Reason.CONFIG_ERROR, r"couldn't find key", "add the key, or set optional: true"),
        (Reason.CONFIG_ERROR, r"serviceaccount .*not found",
         "create it, or correct serviceAccountName"),
        (Reason.CONFIG_ERROR, r"not found", "create it, or set optional: true"),
        (Reason.MOUNT_FAILED, r"(secret|configmap) \S+ not found",
         "create it, or set optional: true"),
        (Reason.UNSCHEDULABLE, r"persistentvolumeclaim .*not found", "create it"),
        (Reason.UNSCHEDULABLE, r"insufficient", "lower resources.requests, or add nodes"),
        (Reason.UNSCHEDULABLE, r"node affinity/selector|node selector|untolerated taint",
         "check nodeSelector, affinity and tolerations in podTemplate.spec"),
        (Reason.QUOTA_EXCEEDED, r"", "free some of the quota, or raise it"),
        (Reason.REJECTED, r'violates podsecurity "restricted(?!.*(host|privileged)).*"main"',
         RESTRICTED),
        (Reason.REJECTED, r"must specify \S+", "give them in resources"),
    )
)  # fmt: skip
"""What to do, where that is known: the first row of the reason whose pattern the words match."""


def hint(reason: Reason | None, sentence: str) -> str:
    """What the reader can do about it; "" where nobody knows."""
    for known, pattern, advice in HINTS:
        if known is reason and pattern.search(sentence):
            return advice
    return ""


def advised(reason: Reason | None, sentence: str) -> str:
    """The sentence, and what to do where that is known."""
    advice = hint(reason, sentence)
    return f"{sentence.rstrip('.')}; {advice}" if advice else sentence
