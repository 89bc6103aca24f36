"""The command `simulate`: its options, which explain themselves here, and a provider served until a signal comes."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from prefect_llm.values.provider import TokenAccounting


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRates:
    """The rate limits that the endpoint keeps, as they were typed."""

    requests_per_minute: Annotated[int | None, Parameter(help="Requests above this rate get 429.")] = None
    tokens_per_minute: Annotated[
        int | None, Parameter(help="The same limit for input and output tokens together.")
    ] = None
    input_tokens_per_minute: Annotated[int | None, Parameter(help="The same limit for input tokens.")] = None
    output_tokens_per_minute: Annotated[int | None, Parameter(help="The same limit for output tokens.")] = None
    token_accounting: Annotated[
        TokenAccounting,
        Parameter(
            help="reserved: a request is counted with its input and its output limit, and nothing is refunded; used: "
            "what the answer did not use of its limit is refunded."
        ),
    ] = "reserved"
    burst: Annotated[float, Parameter(help="Seconds' worth of its rate that a bucket holds.")] = 60.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """What is simulated, as it was typed."""

    latency: Annotated[
        str,
        Parameter(
            name="--latency",
            help="Seconds until the answer: a number, uniform:A,B, normal:MEAN,SD, lognormal:MEDIAN,SIGMA or "
            "exponential:MEAN.",
        ),
    ] = "0.5"
    knee: Annotated[
        str | None,
        Parameter(
            help="N[,N@S,...]: requests beyond N at once queue in order, and their latency starts with their turn; "
            "200,50@60 changes N 60 seconds after the first request."
        ),
    ] = None
    rates: SimulatedRates = SimulatedRates()
    output_tokens: Annotated[
        str,
        Parameter(help="Length of answers in tokens, spread as --latency; never above a request's limit."),
    ] = "100"
    fault: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="KIND=SHARE, repeatable: this share of requests (0 to 1) meets rate_limit, server_error, "
            "unavailable, overloaded, hang, slow, reset, close, cut, not_json, no_choices, null_content or "
            "bad_request.",
        ),
    ] = ()
    outage: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="FROM,TO, repeatable: between these seconds after the first request every request gets 503.",
        ),
    ] = ()
    models: Annotated[str | None, Parameter(help="M,M: the models that exist; others get 404. Default: any.")] = None
    api_key_env: Annotated[
        str | None, Parameter(help="Environment variable with the key that is expected. Default: any key.")
    ] = None
    strictness: Annotated[
        Literal["openai", "none"],
        Parameter(
            help="openai: refuse a JSON schema that asks to be strict and that OpenAI would refuse; none: take any."
        ),
    ] = "openai"
    seed: Annotated[int | None, Parameter(help="The same seed repeats faults, latencies and lengths.")] = None


DEFAULTS = SimulationOptions()


def simulate(
    *,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0: any free one.")] = 8090,
    options: SimulationOptions = DEFAULTS,
) -> int:
    """Serve a simulated provider, to rehearse a run on your own input before paying for it.

    The first line printed is its base URL. Figures are at /stats; POST /reset forgets them and refills the buckets.
    SIGINT or SIGTERM ends it with a summary.
    """
    from prefect_llm.simulation import parse_simulation, serve

    given = asdict(options)
    rates = given.pop("rates")
    simulation = parse_simulation(**given, **rates, environ=os.environ)
    stats = serve(simulation, host, port, announce=_say)
    _say(stats.sentence())
    return 0


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # the reader has closed the pipe; the last flush of the process must not fail either
        with contextlib.suppress(OSError), open(os.devnull, "w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
