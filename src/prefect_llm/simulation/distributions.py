"""The distributions of latencies and answer lengths: `0.5`, `uniform:A,B`, `normal:MEAN,SD`, and so on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from prefect_llm.values.errors import InvalidInput

SPELLINGS = {
    "uniform": "uniform:A,B",
    "normal": "normal:MEAN,SD",
    "lognormal": "lognormal:MEDIAN,SIGMA",
    "exponential": "exponential:MEAN",
}
_LARGEST_EXPONENT = 700.0
"""`exp` overflows above 709."""
ALLOWED = f"a number, {', '.join(SPELLINGS.values())}"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A constant, or a kind and its parameters in the order of `SPELLINGS`."""

    kind: str
    parameters: tuple[float, ...]

    def sampler(self, random: Random) -> Callable[[], float]:
        """A function that draws one value per call, never below 0."""
        first, second = (*self.parameters, 0.0)[:2]
        match self.kind:
            case "uniform":
                return lambda: random.uniform(first, second)
            case "normal":
                return lambda: max(0.0, random.gauss(first, second))
            case "lognormal":
                mu = math.log(first)
                return lambda: math.exp(min(random.gauss(mu, second), _LARGEST_EXPONENT))
            case "exponential":
                rate = 1.0 / first
                return lambda: random.expovariate(rate)

        return lambda: first


def parse_distribution(option: str, text: str) -> Distribution:
    """The distribution that an option gives. Raises `InvalidInput`."""
    kind, colon, numbers = text.partition(":")
    try:
        parameters = tuple(float(number) for number in (numbers if colon else kind).split(","))
    except ValueError as error:
        raise _refusal(option, text, f"expected {ALLOWED}") from error

    if not colon:
        kind = "constant"
    elif kind not in SPELLINGS:
        raise _refusal(option, text, f"expected {ALLOWED}")

    expected = SPELLINGS[kind].count(",") + 1 if colon else 1
    if len(parameters) != expected:
        raise _refusal(option, text, f"expected {SPELLINGS.get(kind, ALLOWED)}")
    if not all(math.isfinite(number) and number >= 0 for number in parameters):
        raise _refusal(option, text, "every number must be finite and at least 0")
    if kind == "uniform" and parameters[0] > parameters[1]:
        raise _refusal(option, text, "A must not be above B")
    if kind in ("lognormal", "exponential") and parameters[0] == 0:
        raise _refusal(option, text, "the first number must be above 0")

    return Distribution(kind, parameters)


def _refusal(option: str, text: str, why: str) -> InvalidInput:
    return InvalidInput(f"{option} {text!r}: {why}")
