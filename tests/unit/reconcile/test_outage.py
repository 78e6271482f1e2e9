"""While nobody answers one key asks; the others follow as soon as it is answered."""

from taskmill.reconcile.cache import Key, Kind
from taskmill.reconcile.outage import ASK_EVERY, Outage

A, B, C = (Key(Kind.EXECUTION, "team", name) for name in "abc")


class Told:
    """An outage, and what was queued since the last look."""

    def __init__(self):
        self.queued = []
        self.outage = Outage(lambda key, seconds: self.queued.append((key, seconds)))

    def look(self):
        found, self.queued = self.queued, []
        return found


def stranded():
    told = Told()
    for key in (A, B, C):
        told.outage.met(key)
    assert told.look() == [(A, ASK_EVERY)]
    return told


def test_only_the_first_asks_again():
    told = stranded()
    for key in (A, B, C, A):
        told.outage.met(key)
    assert told.look() == [(A, ASK_EVERY), (A, ASK_EVERY)]


def test_all_others_follow_at_once_when_it_is_answered():
    told = stranded()
    told.outage.over(A)
    assert sorted(told.look(), key=str) == [(B, 0.0), (C, 0.0)]


def test_the_answer_to_another_key_proves_nothing():
    """It may have needed no request at all."""
    told = stranded()
    told.outage.over(B)
    assert told.look() == []


def test_nobody_waits_after_the_end():
    told = stranded()
    told.outage.over(A)
    told.look()
    for key in (A, B, C):
        told.outage.over(key)
    assert told.look() == []


def test_the_next_outage_is_asked_about_by_whoever_meets_it():
    told = stranded()
    told.outage.over(A)
    told.look()
    told.outage.met(B)
    told.outage.met(A)
    assert told.look() == [(B, ASK_EVERY)]
    told.outage.over(B)
    assert told.look() == [(A, 0.0)]


def test_without_an_outage_nothing_is_queued():
    told = Told()
    told.outage.over(A)
    assert told.look() == []
