from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from prefect_llm.store.manifest import Manifest, Stopped, check_same_spec, read_manifest
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput


def test_a_manifest_survives_its_file(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest(
        state="stopped",
        stopped=Stopped("AuthenticationFailed", "the key was refused"),
        totals={"rows": 5, "cost": "0.1"},
        budget=RunBudget(Decimal("0.0005"), "USD"),
    )
    assert read_manifest(manifest.to_json(), "m") == manifest


def test_a_manifest_from_before_budgets_were_kept_has_none(make_manifest: Callable[..., Manifest]) -> None:
    content = json.loads(make_manifest().to_json())
    del content["budget"]
    assert read_manifest(json.dumps(content).encode(), "m").budget is None


def test_a_budget_that_is_no_amount_is_refused_by_name(make_manifest: Callable[..., Manifest]) -> None:
    content = json.loads(make_manifest(budget=RunBudget(Decimal(1), "USD", Decimal(2))).to_json())
    content["budget"]["max_cost"] = "much"
    with pytest.raises(InvalidInput, match=r"^m is not the manifest of a run"):
        read_manifest(json.dumps(content).encode(), "m")


def test_a_change_is_a_copy_with_its_own_time(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest()
    before = datetime.now(UTC)
    done = manifest.changed(state="completed")
    assert (manifest.state, done.state) == ("running", "completed")
    assert before <= done.updated_at <= datetime.now(UTC)
    assert done.created_at == manifest.created_at


def test_text_of_any_kind_is_readable_and_comes_back(make_manifest: Callable[..., Manifest]) -> None:
    manifest = make_manifest(spec={"prompt": "要約 \udc80 {{ text }}"})
    assert "要約" in manifest.to_json().decode("utf-8")
    assert read_manifest(manifest.to_json(), "m").spec == manifest.spec


def test_a_manifest_of_another_format_is_refused(make_manifest: Callable[..., Manifest]) -> None:
    content = json.loads(make_manifest().to_json())
    content.update(format=2, version="9.0.0")
    with pytest.raises(InvalidInput) as refused:
        read_manifest(json.dumps(content).encode(), "runs/_run/manifest.json")
    assert refused.value.message == (
        "runs/_run/manifest.json has format 2 and this prefect-llm reads format 1: "
        "use the version that wrote it (9.0.0), or give a new output"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"name": "someone else"}',
        b'{"format": 1}',
    ],
)
def test_a_file_that_is_no_manifest_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^runs/_run/manifest\.json is not the manifest of a run"):
        read_manifest(content, "runs/_run/manifest.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "paused"),
        ("created_at", "yesterday"),
        ("spec", None),
        ("snapshot", {"rows": 3}),
        ("snapshot", None),
        ("snapshot", {"chunks": -1}),
    ],
)
def test_a_field_that_cannot_be_meant_is_refused(
    make_manifest: Callable[..., Manifest], key: str, value: object
) -> None:
    content = json.loads(make_manifest().to_json())
    content[key] = value
    with pytest.raises(InvalidInput, match="is not the manifest of a run"):
        read_manifest(json.dumps(content).encode(), "m")


def test_another_spec_is_refused_with_the_difference_and_what_to_do(
    make_manifest: Callable[..., Manifest],
) -> None:
    manifest = make_manifest(spec={"prompt": "a", "model": "m"})
    check_same_spec(manifest, {"model": "m", "prompt": "a", "schema": None})
    with pytest.raises(InvalidInput) as refused:
        check_same_spec(manifest, {"prompt": "b", "model": "n"}, where="runs/today")
    assert refused.value.message == (
        "runs/today holds a run with other settings (prompt: 'a' -> 'b'; model: 'm' -> 'n'): "
        "give a new output, or the old settings to continue that run"
    )


def test_a_run_that_begins_now_says_when_by_what_and_of_which_spec() -> None:
    spec, before = {"prompt": "a"}, datetime.now(UTC)
    manifest = Manifest.new("abc", spec, {"chunks": 2, "rows": 3})
    assert before <= manifest.created_at == manifest.updated_at <= datetime.now(UTC)
    assert manifest.version == importlib.metadata.version("prefect-llm")
    assert (manifest.run_id, manifest.state, manifest.chunks) == ("abc", "running", 2)
    check_same_spec(manifest, spec)
    assert read_manifest(manifest.to_json(), "m") == manifest
