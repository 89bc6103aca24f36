"""Ask a provider or host a model: what both cost, where they meet, and which rule says which to take."""

from prefect_llm.hosting.comparison import Comparison, ModelCost, compare
from prefect_llm.hosting.markdown import to_markdown
from prefect_llm.hosting.page import to_html
from prefect_llm.hosting.recommendation import Recommendation
from prefect_llm.hosting.scenario import Scenario
from prefect_llm.hosting.scenario_files import load_scenario
from prefect_llm.hosting.spans import Span

__all__ = [
    "Comparison",
    "ModelCost",
    "Recommendation",
    "Scenario",
    "Span",
    "compare",
    "load_scenario",
    "to_html",
    "to_markdown",
]
