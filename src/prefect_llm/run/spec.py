"""What is fixed for a run: its directory accepts no other prompt, model, schema or way of reading the input.

Keys, limits, timeouts, retries, prices and error shares are not part of it: they may change between attempts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from prefect_llm.documents import Keep, OnBadRows, Staging
from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.prompts.json_wrapping import wrapping_of
from prefect_llm.store import RAW, REASONING, ResultRow, reserved_columns
from prefect_llm.values.errors import InvalidInput
from prefect_llm.wire.finish_reasons import CUTS, Stop, stop_of

_ADDED = frozenset({"lenient_json", "keep_reasoning", "messages_column"})
"""Settings of the prompt that 0.1.0 does not know: written where they are given, so that it reads all other runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """How documents are read and asked. `keep_raw` stores each answer as it was received.

    `on_bad_rows` says what becomes of rows that cannot be read. Identical requests are asked once, unless `no_dedup`
    or a `temperature` above 0 is given.
    """

    prompt: PromptSpec
    id_column: str | None = None
    keep: Keep = "default"
    limit: int | None = None
    chunk_rows: int | None = None
    keep_raw: bool = False
    no_dedup: bool = False
    on_bad_rows: OnBadRows = "fail"

    def to_json(self) -> dict[str, Any]:
        """A flat mapping for the manifest, with the names of the command line."""
        prompt = {name: value for name, value in asdict(self.prompt).items() if value or name not in _ADDED}
        return {
            "prompt": prompt.pop("template"),
            **prompt,
            "id_column": self.id_column,
            "keep": list(self.keep) if isinstance(self.keep, tuple) else self.keep,
            "limit": self.limit,
            "chunk_rows": self.chunk_rows,
            "keep_raw": self.keep_raw,
            "no_dedup": self.no_dedup,
            **({} if self.on_bad_rows == "fail" else {"on_bad_rows": self.on_bad_rows}),
        }

    @classmethod
    def from_json(cls, spec: dict[str, Any]) -> RunSpec:
        """Read what `to_json` wrote; `InvalidInput` if another version wrote it and this one cannot read it."""
        rest = dict(spec)
        try:
            own = {name: rest.pop(name) for name in ("id_column", "limit", "chunk_rows", "keep_raw", "no_dedup")}
            keep, on_bad_rows = rest.pop("keep"), rest.pop("on_bad_rows", "fail")
            prompt = PromptSpec(template=rest.pop("prompt"), **rest)
        except (KeyError, TypeError) as error:
            raise InvalidInput(
                f"the run has settings unknown to this version ({error}): finish it with the version that began it"
            ) from error
        return cls(
            prompt=prompt, keep=tuple(keep) if isinstance(keep, list) else keep, on_bad_rows=on_bad_rows, **own
        )

    @property
    def kept_of_answers(self) -> tuple[str, ...]:
        """The columns of answers that only some runs keep, and this one does."""
        asked = ((RAW, self.keep_raw), (REASONING, self.prompt.keep_reasoning))
        return tuple(name for name, keeps in asked if keeps)

    @property
    def asks_once(self) -> bool:
        """Whether identical requests are asked once."""
        return not self.no_dedup and not self.prompt.temperature

    def serves(self, row: ResultRow) -> bool:
        """Whether an earlier answer would count today.

        One that was cut does not if it has no text, or if truncation is a failure; nor one that was filtered or given
        up, which 0.1.0 took for an answer, nor wrapped JSON where it is not read leniently.
        """
        completion = row.outcome.completion
        if completion is None:
            return True
        strict = self.prompt.schema is not None and not self.prompt.lenient_json
        if strict and wrapping_of(completion.content or ""):
            return False
        stop = stop_of(completion.finish_reason) or Stop.END
        if stop not in CUTS:
            return stop is Stop.END
        has_text = bool((completion.content or "").strip())
        return has_text and not self.prompt.fail_truncated and self.prompt.schema is None

    def staging(self, prompt: Prompt) -> Staging:
        """Which parts of the input are staged for this prompt."""
        return Staging(
            id_column=self.id_column,
            keep=self.keep,
            needed=prompt.columns.needed,
            wanted=prompt.columns.wanted,
            limit=self.limit,
            chunk_rows=self.chunk_rows,
            reserved=reserved_columns(keep_reasoning=self.prompt.keep_reasoning),
            sent=prompt.sent,
            on_bad_rows=self.on_bad_rows,
        )
