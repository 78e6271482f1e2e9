"""A patch turns the old object into the new one, as RFC 7386 applies it."""

from hypothesis import given
from hypothesis import strategies as st

from taskmill.reconcile.merge import merge_patch

leaves = st.booleans() | st.integers(-2, 2) | st.text(st.sampled_from("ab"), max_size=2)
keys = st.sampled_from("abcd")
# No nulls: our objects leave out what is not set.
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)


def apply(target, patch):
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result


@given(objects, objects)
def test_the_patch_applied_to_the_old_gives_the_new(old, new):
    assert apply(old, merge_patch(old, new)) == new


@given(objects)
def test_nothing_is_patched_where_nothing_changed(same):
    assert merge_patch(same, same) == {}


@given(objects, objects)
def test_only_what_differs_is_sent(old, new):
    same = {key for key in old if key in new and old[key] == new[key]}
    assert not same & merge_patch(old, new).keys()


def test_objects_are_merged_lists_replaced_and_what_is_gone_is_null():
    old = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": "gone", "d": "same"}
    new = {"a": {"x": 1, "z": 3}, "b": [1], "d": "same"}
    assert merge_patch(old, new) == {"a": {"y": None, "z": 3}, "b": [1], "c": None}
