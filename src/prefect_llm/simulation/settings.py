"""The settings of a simulated provider: the options of `prefect-llm simulate`, parsed once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from prefect_llm.simulation.buckets import Rates
from prefect_llm.simulation.distributions import Distribution, parse_distribution
from prefect_llm.simulation.faults import Fault
from prefect_llm.simulation.slots import Step
from prefect_llm.simulation.strictness import Strictness
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import TokenAccounting

_ROUNDING = 1e-9
"""Decimal shares are no binary fractions: they may add up to a little more than 1."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Every request gets a 503 between these seconds after the first request."""

    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """Settings of one simulated provider. `latency` is in seconds, `output_tokens` in tokens."""

    latency: Distribution
    output_tokens: Distribution
    knee: tuple[Step, ...] = ()
    rates: Rates = field(default_factory=Rates)
    faults: tuple[tuple[Fault, float], ...] = ()
    outages: tuple[Outage, ...] = ()
    models: tuple[str, ...] = ()
    """Empty means any."""
    api_key: str | None = field(default=None, repr=False)
    """`None` means any."""
    seed: int | None = None
    strictness: Strictness = "openai"


def parse_simulation(
    *,
    latency: str = "0.5",
    knee: str | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    input_tokens_per_minute: int | None = None,
    output_tokens_per_minute: int | None = None,
    token_accounting: TokenAccounting = "reserved",
    burst: float = 60.0,
    output_tokens: str = "100",
    fault: Sequence[str] = (),
    outage: Sequence[str] = (),
    models: str | None = None,
    api_key_env: str | None = None,
    seed: int | None = None,
    strictness: Strictness = "openai",
    environ: Mapping[str, str],
) -> Simulation:
    """The options as they were typed, checked. Raises `InvalidInput`."""
    per_minute = {
        "--requests-per-minute": requests_per_minute,
        "--tokens-per-minute": tokens_per_minute,
        "--input-tokens-per-minute": input_tokens_per_minute,
        "--output-tokens-per-minute": output_tokens_per_minute,
    }
    for option, limit in per_minute.items():
        if limit is not None and limit < 1:
            raise InvalidInput(f"{option} {limit}: expected at least 1; leave it out for no limit")

    if not (math.isfinite(burst) and burst > 0):
        raise InvalidInput(f"--burst {burst:g}: expected a number of seconds above 0")

    return Simulation(
        latency=parse_distribution("--latency", latency),
        output_tokens=parse_distribution("--output-tokens", output_tokens),
        knee=parse_knee(knee) if knee is not None else (),
        rates=Rates(
            requests=requests_per_minute,
            tokens=tokens_per_minute,
            input_tokens=input_tokens_per_minute,
            output_tokens=output_tokens_per_minute,
            accounting=token_accounting,
            burst_s=burst,
        ),
        faults=parse_faults(fault),
        outages=tuple(map(parse_outage, outage)),
        models=_names(models) if models is not None else (),
        api_key=_api_key(api_key_env, environ) if api_key_env is not None else None,
        seed=seed,
        strictness=strictness,
    )


def parse_knee(text: str) -> tuple[Step, ...]:
    """`N[,N@S,...]`: N requests at once, from S seconds after the first request."""
    steps = []
    for number, part in enumerate(text.split(",")):
        limit, at, seconds = part.strip().partition("@")
        at_s = _number(seconds) if at else (0.0 if number == 0 else None)
        if not (limit.isascii() and limit.isdigit() and int(limit) >= 1) or at_s is None:
            raise InvalidInput(
                f"--knee {text!r}: expected N[,N@S,...] like 200,50@60: requests at once, then seconds"
            )
        steps.append(Step(at_s, int(limit)))
    if any(later.at_s <= earlier.at_s for earlier, later in pairwise(steps)):
        raise InvalidInput(f"--knee {text!r}: every step must come after the one before it")
    return tuple(steps)


def parse_faults(texts: Sequence[str]) -> tuple[tuple[Fault, float], ...]:
    """`KIND=SHARE` each; a kind given twice has the sum."""
    shares = []
    for text in texts:
        kind, _, number = text.partition("=")
        if kind not in list(Fault):
            raise InvalidInput(f"--fault {text!r}: no such kind; the kinds are {', '.join(Fault)}")
        share = _number(number)
        if share is None or share > 1:
            raise InvalidInput(f"--fault {text!r}: expected KIND=SHARE with a share of requests from 0 to 1")
        shares.append((Fault(kind), share))

    total = math.fsum(share for _, share in shares)
    if total > 1 + _ROUNDING:
        raise InvalidInput(f"--fault: the shares add up to {total:g}: make them at most 1")

    return tuple(shares)


def parse_outage(text: str) -> Outage:
    """`FROM,TO` in seconds after the first request."""
    bounds = [_number(part) for part in text.split(",")]
    if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None and bounds[0] < bounds[1]:
        return Outage(bounds[0], bounds[1])
    raise InvalidInput(f"--outage {text!r}: expected FROM,TO in seconds after the first request, FROM before TO")


def _number(text: str) -> float | None:
    """A finite number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names:
        raise InvalidInput("--models: expected at least one name; leave it out for any model")
    return names


def _api_key(name: str, environ: Mapping[str, str]) -> str:
    key = environ.get(name)
    if not key:
        raise InvalidInput(f"the variable {name}, named by --api-key-env, is not set: export the key")
    return key
