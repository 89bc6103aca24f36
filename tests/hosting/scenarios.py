"""Scenarios to change one thing of."""

from __future__ import annotations

from typing import Any

from prefect_llm.hosting import Scenario


def scenario(
    *, workload: dict[str, Any] | None = None, hosting: dict[str, Any] | None = None, **more: Any
) -> Scenario:
    """One model at 2.00 out, one server for 1,000 a month; what is given goes over that."""
    return Scenario.model_validate(
        {
            "workload": workload or {"output_tokens_per_month": 10_000_000},
            "models": [{"name": "m", "price_input": 1, "price_output": 2}],
            "hosting": {"gpu": "G", "gpu_memory_gb": 80, "colocation": 1000, **(hosting or {})},
            **more,
        }
    )
