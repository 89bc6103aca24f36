"""What a run would cost and how long it would take, before it is begun."""

from prefect_llm.estimating.costing import Line
from prefect_llm.estimating.estimate import Estimate, SampleSummary, estimate_input, estimate_run
from prefect_llm.estimating.intervals import LEAST_SAMPLE, Interval
from prefect_llm.estimating.rendering import headline, to_markdown, to_rich
from prefect_llm.estimating.sample import SampleOptions, sample_directory, with_sample_answers

__all__ = [
    "LEAST_SAMPLE",
    "Estimate",
    "Interval",
    "Line",
    "SampleOptions",
    "SampleSummary",
    "estimate_input",
    "estimate_run",
    "headline",
    "sample_directory",
    "to_markdown",
    "to_rich",
    "with_sample_answers",
]
