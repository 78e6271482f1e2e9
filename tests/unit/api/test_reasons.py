"""The closed set of reasons and its table."""

import re

import pytest

from taskmill.api.reasons import REASONS, ConditionType, Payer, Phase, Reason


def test_every_reason_is_explained_in_the_order_of_precedence():
    assert list(REASONS) == list(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_an_explanation_is_one_sentence_with_its_evidence(reason):
    explanation = REASONS[reason]
    assert re.fullmatch(r"[A-Z][^\n]{10,100}\.", explanation.description)
    assert re.fullmatch(r"[^\n]+[^.\n]", explanation.evidence)


@pytest.mark.parametrize("word", [*Reason, *ConditionType, *Phase])
def test_words_are_spelled_as_kubernetes_spells_them(word):
    assert re.fullmatch(r"[A-Z][A-Za-z]{2,62}", word)


def test_the_infrastructure_pays_for_what_it_broke_and_the_task_for_its_own():
    paid = {
        payer: {reason for reason, row in REASONS.items() if row.payer is payer} for payer in Payer
    }
    assert paid[Payer.INFRA] == {
        Reason.EVICTED,
        Reason.PREEMPTED,
        Reason.NODE_SHUTDOWN,
        Reason.NODE_LOST,
        Reason.IMAGE_PULL_FAILED,
        Reason.DELETED,
        Reason.ARTIFACT_FAILED,
    }
    assert paid[Payer.RETRY] == {
        Reason.MAX_RUN_TIME_EXCEEDED,
        Reason.OOM_KILLED,
        Reason.ERROR,
        Reason.INIT_FAILED,
        Reason.SIDECAR_FAILED,
    }


def test_three_phases_are_final():
    assert {phase for phase in Phase if phase.final} == {
        Phase.SUCCEEDED,
        Phase.FAILED,
        Phase.STOPPED,
    }


def test_a_recorded_reason_is_the_member_it_names():
    assert Reason.of("OOMKilled") is Reason.OOM_KILLED


def test_a_reason_of_a_newer_taskmill_is_kept_but_joins_nothing():
    stranger = Reason.of("Teleported")
    assert stranger == "Teleported"
    assert str(stranger) == "Teleported"
    assert stranger not in REASONS
    assert "Teleported" not in [*Reason]
    with pytest.raises(ValueError, match="Teleported"):
        Reason("Teleported")
