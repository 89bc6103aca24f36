"""The flow `compare_hosting`: what models cost from providers and on machines of one's own, as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from prefect_llm.flows.execution import state_for
from prefect_llm.flows.form import Choice, Text, titled
from prefect_llm.hosting import Scenario, compare, load_scenario, to_html, to_markdown
from prefect_llm.values.errors import InvalidInput

HOSTING_KEY = "llm-hosting"


@flow(name="compare-hosting", description="Compares what models cost from providers and on machines of your own.")
def compare_hosting(
    scenario: Annotated[Scenario | None, Choice("None"), titled("Scenario")] = None,
    scenario_file: Annotated[Text, titled("Scenario file")] = "",
    html: Annotated[Text, titled("Page")] = "",
) -> dict[str, Any]:
    """Compare what models cost.

    Args:
        scenario: Workload, models and machines; leave empty for those of a file.
        scenario_file: YAML file with them; the reference case if both are empty.
        html: File to write the page with charts to.

    Returns every figure, money as strings. A scenario that makes no sense fails the run as `Refused`.
    """
    try:
        return _compared(scenario, scenario_file or None, html or None)
    except InvalidInput as error:
        return cast(dict[str, Any], state_for(error))


def _compared(scenario: Scenario | None, scenario_file: str | None, html: str | None) -> dict[str, Any]:
    if scenario is not None and scenario_file is not None:
        raise InvalidInput("scenario and scenario_file are both given: leave one out")
    comparison = compare(load_scenario(scenario_file) if scenario is None else scenario)
    if html is not None:
        Path(html).write_text(to_html(comparison), encoding="utf-8")
    create_markdown_artifact(to_markdown(comparison), key=HOSTING_KEY, description="API or own hosting")
    advice = comparison.recommendation
    get_run_logger().info("%s (rule: %s): %s", advice.choice, advice.rule, advice.reason)
    return comparison.to_json()
