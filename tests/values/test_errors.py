"""An error that was written down by its kind is the same error again."""

from __future__ import annotations

import pytest

from prefect_llm.values.errors import BudgetExceeded, InvalidInput, RequestRefused, RunError, run_error


@pytest.mark.parametrize("error", [BudgetExceeded("no money"), InvalidInput("no input"), RunError("no idea")])
def test_a_kind_is_its_own_type_again(error: RunError) -> None:
    again = run_error(error.kind, error.message)
    assert (type(again), again.message) == (type(error), error.message)


@pytest.mark.parametrize(
    "kind", ["OfAnotherVersion", "Rejected", "TooManyFailedRows", "annotations", "ErrorKind", ""]
)
def test_what_is_no_reason_to_stop_is_a_plain_one(kind: str) -> None:
    again = run_error(kind, "why")
    assert (type(again), again.message) == (RunError, "why")


def test_how_a_refused_request_goes_on_reads_alone() -> None:
    assert RequestRefused("no").goes_on == (
        "A change of prompt, model, schema or parameters makes it a different run, which needs a new output."
    )
