"""What OpenTelemetry was told, as its SDK's in-memory reader has it."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader


def points_of(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """The data points of every metric by its name."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    found = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    return {metric.name: list(metric.data.data_points) for metric in found}


def total(points: list[Any]) -> float:
    """Over all attributes."""
    return float(sum(point.value for point in points))
