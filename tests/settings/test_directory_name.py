from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prefect_llm.settings import output_directory
from prefect_llm.settings.directory_name import base_directory
from prefect_llm.values.errors import InvalidInput

SCHEDULED = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
ALLOWED = "it may hold {scheduled:%Y-%m-%d} and {flow_run_id}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("runs/plain", "runs/plain"),
        ("s3://bucket/{scheduled:%Y-%m-%d}", "s3://bucket/2026-01-31"),
        ("{scheduled:%Y/%m}/{flow_run_id}", "2026/01/abc"),
        ("{scheduled:%H%%%M}", "23%59"),
        ("{scheduled:%-m}", "1"),
        ("{scheduled:%Y-%m-%d@Europe/Berlin}", "2026-02-01"),
        ("{scheduled:%Y-%m-%dT%H:%M@America/St_Johns}/x", "2026-01-31T20:29/x"),
        ("{scheduled:%d@UTC}", "31"),
        ("{scheduled:%Y@%m@Asia/Tokyo}", "2026@02"),
        ("{scheduled:%Y-%m-%d@night}", "2026-01-31@night"),
        ("{scheduled:%Y@%m/%d}", "2026@01/31"),
        ("a@b/{scheduled:%d}", "a@b/31"),
        ("a{{b}}", "a{b}"),
    ],
)
def test_placeholders_are_filled_in(template: str, expected: str) -> None:
    assert output_directory(template, SCHEDULED, "abc") == expected


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{model}", "there is no placeholder {model}"),
        ("{}", "there is no placeholder {}"),
        ("{scheduled.year:%Y}", "there is no placeholder {scheduled.year}"),
        ("{flow_run_id.__class__}", "there is no placeholder {flow_run_id.__class__}"),
        ("{scheduled!r:%Y}", "there is no placeholder {scheduled!r}"),
        ("{scheduled}", "{scheduled} needs the format of a date"),
        ("{scheduled:10}", "{scheduled} needs the format of a date"),
        ("{scheduled:%Y{flow_run_id}}", "{scheduled} needs the format of a date"),
        ("{scheduled:%Y-%Q}", "a date has no %Q"),
        ("{scheduled:%Y-%}", "a date has no %"),
        ("{scheduled:@Europe/Berlin}", "{scheduled} needs the format of a date"),
        ("{scheduled:%d@Europe/Berln}", "there is no time zone 'Europe/Berln'; one is named as Europe/Berlin"),
        ("{scheduled:%d@../etc/passwd}", "there is no time zone '../etc/passwd'; one is named as Europe/Berlin"),
        ("{scheduled:%Q@Europe/Berlin}", "a date has no %Q"),
        ("{flow_run_id:>3}", "{flow_run_id} takes no format"),
        ("runs/{", "Single '{' encountered in format string"),
    ],
)
def test_any_other_placeholder_is_refused_with_the_allowed_ones(template: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        output_directory(template, SCHEDULED, "abc")
    assert caught.value.message == f"output {template!r}: {complaint}; {ALLOWED}"


@pytest.mark.parametrize(
    ("scheduled", "night"),
    [
        ("2026-10-24T23:30+00:00", "2026-10-25"),  # 01:30 in summer time
        ("2026-10-26T00:30+00:00", "2026-10-26"),  # 01:30 after the clocks went back
        ("2027-03-27T00:30+00:00", "2027-03-27"),
        ("2027-03-28T00:30+00:00", "2027-03-28"),  # the hour of the change
        ("2027-03-28T23:30+00:00", "2027-03-29"),
    ],
)
def test_a_night_of_a_zone_has_one_directory_when_the_clocks_change(scheduled: str, night: str) -> None:
    at = datetime.fromisoformat(scheduled)
    assert output_directory("{scheduled:%Y-%m-%d@Europe/Berlin}", at) == night


def test_a_flow_run_id_without_a_flow_run_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        output_directory("{flow_run_id}", SCHEDULED, None)
    assert caught.value.message == (
        "output '{flow_run_id}': {flow_run_id} has a value in a Prefect flow run only; use --prefect or leave it out"
    )


@pytest.mark.parametrize(
    ("template", "base"),
    [
        ("runs/{scheduled:%Y-%m-%d}", "runs"),
        ("s3://bucket/answers/{scheduled:%Y/%m/%d}/x", "s3://bucket/answers"),
        ("/srv/a{{b}}/night-{flow_run_id}", "/srv/a{b}"),
        ("{scheduled:%Y}", "."),
        ("/{scheduled:%Y}", "/"),
    ],
)
def test_what_a_template_names_lies_below_one_directory(template: str, base: str) -> None:
    assert base_directory(template) == base


def test_without_a_placeholder_there_is_no_previous_run() -> None:
    with pytest.raises(InvalidInput, match=r"runs/plain/\{scheduled:%Y-%m-%d\}, or the directory of an earlier run"):
        base_directory("runs/plain")
