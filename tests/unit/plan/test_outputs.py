"""What a step hands to later ones."""

import pytest

from builders import at, execution, job, pod, step, world
from taskmill.api.reasons import Phase, Reason
from taskmill.plan.decision import ReadLog
from taskmill.plan.executions.decide import decide
from taskmill.plan.outputs import is_all_outputs, parse, too_much, unexpanded
from taskmill.plan.world import Limits
from toy import Toy


def takes(ref, key="url", name="URL"):
    return {"env": [{"name": name, "valueFrom": {"output": {"step": ref, "key": key}}}]}


def toy(*steps):
    return Toy(execution().plan(*steps)).settles(0)


def env_of(run, name):
    variables = run.job(name).raw["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value") for one in variables}


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "outputs"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1\nb=2\n", {"a": "1", "b": "2"}),
        ("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
        ("a=", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a= x ", {"a": " x "}),
        ("a=1\na=2", {"a": "2"}),
        ("A_b.c-9=x", {"A_b.c-9": "x"}),
        ("hello\na=1\n=x\n9a=1\n a=2\na b=3", {"a": "1"}),
        (f"{'k' * 63}=1\n{'k' * 64}=2", {"k" * 63: "1"}),
        ("a=one\u2028two\x0cthree", {"a": "one\u2028two\x0cthree"}),
    ],
)
def test_outputs_are_lines_of_key_and_value(message, outputs):
    assert parse(message) == outputs


@pytest.mark.parametrize(
    ("message", "all_"),
    [
        ("a=1\n\nb=2\n", True),
        ("a=1\r\n", True),
        ("a=one\u2028two", True),
        ("a=1\nerror: no", False),
        ("", False),
        ("\n \n", False),
    ],
)
def test_a_message_of_nothing_but_outputs_explains_nothing(message, all_):
    assert is_all_outputs(message) is all_


# -- limits ---------------------------------------------------------------------------------------


def test_a_full_file_has_lost_a_part():
    assert too_much("a=" + "x" * 4093, {}) == ""
    said = "it wrote 4096 bytes or more to $TASKMILL_OUTPUT, of which a part is lost"
    assert too_much("a=" + "x" * 4094, {}) == said
    assert too_much("a=" + "ä" * 2047, {}) == said
    assert too_much("x" * 5000, {}) == ""


@pytest.mark.parametrize(("containers", "room"), [(1, 4096), (3, 4096), (4, 3072), (12, 1024)])
def test_containers_of_one_pod_share_their_room(containers, room):
    assert too_much("a=" + "x" * (room - 3), {}, containers=containers) == ""
    assert too_much("a=" + "x" * (room - 2), {}, containers=containers) == (
        f"it wrote {room} bytes or more to $TASKMILL_OUTPUT, of which a part is lost"
    )


def test_a_step_has_no_more_outputs_than_its_status_holds():
    most = "\n".join(f"k{n}=" for n in range(512))
    assert too_much(most, {}) == ""
    assert too_much(f"{most}\nk512=", {}) == "it wrote 513 outputs; at most 512 are possible"


def test_the_outputs_of_all_steps_have_16_kib_together():
    others = {f"s{n}": {"key": "x" * 4093} for n in range(3)}
    room = 16 * 1024 - 3 * 4096
    assert too_much("a=" + "x" * (room - 200), others) == ""
    others["s3"] = {"key": "x" * 197}
    assert too_much("a=" + "x" * (room - 201), others) == ""
    assert too_much("a=" + "x" * (room - 200), others) == (
        "the outputs of all steps are 16385 bytes; at most 16384 are possible"
    )


def test_a_step_that_wrote_too_much_fails_and_says_so():
    run = toy(step("a"), step("b", "a"))
    run.runs("a", 0, at=1, end=2, log="a=" + "x" * 4094)
    assert run.jobs_made == ["a"]
    assert (run.status.phase, run.status.reason) == (Phase.FAILED, Reason.INVALID_TASK)
    assert run.status.failure_message == (
        "step a: it wrote 4096 bytes or more to $TASKMILL_OUTPUT, of which a part is lost;"
        " not started: b"
    )


def test_sidecars_take_room_from_the_outputs():
    run = toy(step("a"))
    for name in ("one", "two", "three"):
        run.pod("a").beside(name)
    run.runs("a", 0, at=1, end=2, log="a=" + "x" * 3070)
    assert run.status.failure_message == (
        "step a: it wrote 3072 bytes or more to $TASKMILL_OUTPUT, of which a part is lost"
    )


# -- handing on -----------------------------------------------------------------------------------


def test_an_output_reaches_a_later_step():
    run = toy(step("a"), step("b", "a"), step("c", "b", **takes("a")))
    run.runs("a", 0, at=1, end=2, log="url=https://x\nother=1")
    run.runs("b", 0, at=3, end=4)
    assert run.steps["a"].output == {"url": "https://x", "other": "1"}
    assert env_of(run, "c")["URL"] == "https://x"


def test_an_output_is_handed_on_after_its_pod_is_gone():
    run = toy(step("a"), step("b", "a"), step("c", "b", **takes("a")))
    run.runs("a", 0, at=1, end=2, log="url=x").starts("b", at=3).settles()
    run.loses_job("job-a-1")
    run.restarts()
    run.exits("b", 0, at=9).settles()
    assert env_of(run, "c")["URL"] == "x"


@pytest.mark.parametrize(
    ("text", "kept"),
    [("$(HOME)", "$$(HOME)"), ("$$(HOME)", "$$$$(HOME)"), ("5$", "5$$"), ("plain", "plain")],
)
def test_kubernetes_expands_nothing_in_an_output(text, kept):
    assert unexpanded(text) == kept
    run = toy(step("a"), step("b", "a", **takes("a")))
    run.runs("a", 0, at=1, end=2, log=f"url={text}").settles(5)
    assert run.steps["a"].output == {"url": text}
    assert env_of(run, "b")["URL"] == kept


@pytest.mark.parametrize(
    ("log", "told"), [("", "it wrote none"), ("other=1\nand=2", "it wrote and, other")]
)
def test_an_output_that_was_not_written_fails_the_step_that_wants_it(log, told):
    run = toy(step("a"), step("b", "a", **takes("a")))
    run.runs("a", 0, at=1, end=2, log=log)
    assert run.jobs_made == ["a"]
    assert run.phases == {"a": Phase.SUCCEEDED, "b": Phase.FAILED}
    assert (run.status.reason, run.status.failure_message) == (
        Reason.INVALID_TASK,
        f"step b: env URL: step a has no output url; {told}",
    )


def test_an_empty_output_is_an_output():
    run = toy(step("a"), step("b", "a", **takes("a")))
    run.runs("a", 0, at=1, end=2, log="url=")
    assert env_of(run, "b")["URL"] == ""


def test_only_a_success_has_outputs():
    run = toy(step("a"))
    run.runs("a", 3, at=1, end=2, log="url=x\nboom")
    assert run.steps["a"].output is None
    assert run.status.failure_message == "step a: exit code 3: boom"


def test_a_later_attempt_takes_the_same_outputs():
    again = {"retry": {"limit": 1, "backoff": {"initial": "0s"}}}
    run = toy(step("a"), step("b", "a", **takes("a"), **again))
    run.runs("a", 0, at=1, end=2, log="url=x")
    run.runs("b", 3, at=3, end=4)
    assert run.jobs_made == ["a", "b", "b2"]
    assert env_of(run, "b")["URL"] == "x"


# -- a failure after outputs ----------------------------------------------------------------------


def test_where_outputs_took_the_place_of_the_last_words_the_log_is_read():
    run = toy(step("a"))
    run.printed["a"] = "one\ncc: error: foo.c\n"
    run.starts("a", at=1).settles().exits("a", 3, "url=x", at=2)
    decision = run.passes()
    assert (decision.status, decision.actions) == (None, (ReadLog("build-1-a-1", "pod-a-1"),))
    run.settles()
    assert run.status.failure_message == "step a: exit code 3: cc: error: foo.c"


def test_a_log_that_says_nothing_is_read_once():
    run = toy(step("a"))
    run.exits("a", 3, "url=x", at=2).settles()
    assert run.status.failure_message == "step a: exit code 3"
    assert [type(deed) for deed in run.deeds].count(ReadLog) == 1


def test_a_log_is_read_for_an_attempt_that_is_tried_again_as_well():
    run = toy(step("a", retry={"limit": 1}))
    run.printed["a"] = "boom"
    run.exits("a", 3, "url=x", at=2).settles()
    assert run.status.attempts[0].message == "exit code 3: boom"


def test_no_log_is_read_where_none_may_be_quoted():
    run = Toy(execution().plan(step("a")), log_tail=False).settles(0)
    run.exits("a", 3, "url=x", at=2).settles()
    assert not any(isinstance(deed, ReadLog) for deed in run.deeds)


def test_no_log_is_read_of_a_pod_that_is_gone():
    run = toy(step("a"))
    run.exits("a", 3, "url=x", at=2)
    run.gone.add("pod-a-1")
    run.settles()
    assert not any(isinstance(deed, ReadLog) for deed in run.deeds)
    assert run.status.phase is Phase.FAILED


def test_outputs_are_no_last_words_whatever_becomes_of_the_log():
    wrote = pod().exited(1, "token=s3cret\nnot what you think")
    told = decide(world(job(), wrote), at(20)).status
    assert told.failure_message == "step build: exit code 1: not what you think"
    alone = world(job(), pod().exited(1, "token=s3cret"), limits=Limits(log_tail=False))
    assert decide(alone, at(20)).status.failure_message == "step build: exit code 1"
