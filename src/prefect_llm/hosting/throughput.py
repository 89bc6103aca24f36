"""What one node gives, in output tokens per second: stated, or measured."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path

from prefect_llm.hosting.scenario import Throughput
from prefect_llm.values.errors import InvalidInput


def tokens_per_second(throughput: Throughput) -> Decimal:
    """Raises `InvalidInput` where a run or a file says nothing of it."""
    if throughput.tokens_per_second is not None:
        return throughput.tokens_per_second
    if throughput.run is not None:
        return _of_run(throughput.run)
    assert throughput.file is not None
    return _of_file(throughput.file)


def _of_run(directory: str) -> Decimal:
    """The output tokens of the rows that were asked, over the time from the first start to the last end."""
    # here: a stated throughput needs neither
    import pyarrow.compute as pc

    from prefect_llm.store.reading import read_results

    columns = ["output_tokens", "started_at", "finished_at", "reused"]
    rows = read_results(directory).to_table(columns=columns, filter=~pc.field("reused"))
    tokens = pc.sum(rows["output_tokens"]).as_py()
    began, ended = pc.min(rows["started_at"]).as_py(), pc.max(rows["finished_at"]).as_py()
    if not tokens or began is None or ended is None or ended <= began:
        raise InvalidInput(f"{directory} shows no throughput: give the directory of a run that asked something")
    return Decimal(tokens) / Decimal(str((ended - began).total_seconds()))


def _of_file(path: str) -> Decimal:
    try:
        read = json.loads(Path(path).read_text(encoding="utf-8"), parse_float=Decimal)
        tokens, seconds = Decimal(read["output_tokens"]), Decimal(read["seconds"])
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}; give the path of a JSON file") from error
    except (ValueError, TypeError, KeyError, InvalidOperation) as error:
        raise InvalidInput(f"{path}: expected a JSON object with output_tokens and seconds, above 0") from error
    if not (tokens.is_finite() and seconds.is_finite() and tokens > 0 and seconds > 0):
        raise InvalidInput(f"{path}: expected a JSON object with output_tokens and seconds, above 0")
    return tokens / seconds
