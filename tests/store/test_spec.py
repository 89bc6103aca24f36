from __future__ import annotations

import pytest

from prefect_llm.store.spec import difference, spec_fingerprint

SPEC = {"prompt": "a", "model": "m", "parameters": {"top_p": 0.1, "seed": 1}}


def test_the_order_of_settings_and_those_not_set_do_not_change_the_fingerprint() -> None:
    other = {"parameters": {"seed": 1, "top_p": 0.1}, "model": "m", "prompt": "a", "schema": None}
    assert spec_fingerprint(other) == spec_fingerprint(SPEC)
    assert difference(SPEC, other) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"prompt": "b"}, "prompt: 'a' -> 'b'"),
        ({"model": None}, "model: 'm' -> not set"),
        ({"limit": 5}, "limit: not set -> 5"),
        ({"parameters": {"top_p": 0.2, "seed": 1}}, "parameters.top_p: 0.1 -> 0.2"),
        ({"parameters": {"top_p": 0.1}}, "parameters.seed: 1 -> not set"),
        ({"parameters": {"top_p": 0.1, "seed": True}}, "parameters.seed: 1 -> true"),
        ({"parameters": None}, 'parameters: {"seed": 1, "top_p": 0.1} -> not set'),
    ],
)
def test_a_changed_setting_is_shown_and_changes_the_fingerprint(change: dict[str, object], line: str) -> None:
    changed = {**SPEC, **change}
    assert difference(SPEC, changed) == [line]
    assert spec_fingerprint(changed) != spec_fingerprint(SPEC)


def test_long_values_are_cut_around_their_first_difference() -> None:
    before = {"prompt": "Read this carefully. " * 40 + "Answer in German." + " Thanks." * 40}
    after = {"prompt": "Read this carefully. " * 40 + "Answer in French." + " Thanks." * 40}
    (line,) = difference(before, after)
    old, new = line.removeprefix("prompt: ").split(" -> ")
    assert "in German." in old
    assert "in French." in new
    assert len(old) == len(new) == 62  # 60 characters and an ellipsis on either side


def test_text_that_was_only_added_at_the_end_is_shown() -> None:
    before = {"prompt": "x" * 200}
    after = {"prompt": "x" * 200 + " Be brief."}
    (line,) = difference(before, after)
    assert line.endswith("x Be brief.'")
