"""The comparison as a page of tables: on the terminal, in the docs and as Prefect's artifact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal

from prefect_llm.hosting.comparison import Comparison, ModelCost, OwnHostingCase
from prefect_llm.hosting.spans import Span
from prefect_llm.report.pages.markdown import escaped
from prefect_llm.values.formatting import money

_UNITS = ((Decimal(10**9), " billion"), (Decimal(10**6), "M"), (Decimal(10**3), "K"))


def to_markdown(comparison: Comparison) -> str:
    """The whole page."""
    paragraphs = [
        "# API or own hosting",
        recommendation_of(comparison),
        *_api(comparison),
        *_own(comparison),
        *_break_even(comparison),
        *_sensitivity(comparison),
    ]
    return "\n\n".join(paragraphs) + "\n"


def recommendation_of(comparison: Comparison) -> str:
    """What to take, by which rule, and why: one paragraph."""
    advice = comparison.recommendation
    model = "" if advice.model is None else f", {escaped(advice.model)}"
    return f"**Recommended: {advice.choice}{model}** (rule: {advice.rule}). {escaped(advice.reason)}"


def tokens_text(tokens: Decimal) -> str:
    """`313M`, `1.0 billion`: three digits at most below a thousand of the unit."""
    for unit, word in _UNITS:
        if tokens >= unit:
            size = tokens / unit
            places = Decimal("0.1") if size < 10 and word == " billion" else Decimal(1)
            return f"{size.quantize(places, ROUND_HALF_UP):,f}{word}"
    return f"{tokens:,.0f}"


def span_text(span: Span | None, *, none: str = "never") -> str:
    """`313M-675M` tokens; `none` where there is no such volume."""
    if span is None:
        return none
    low, high = tokens_text(span.low), tokens_text(span.high)
    return low if low == high else f"{low}-{high}"


def _api(comparison: Comparison) -> Iterator[str]:
    currency = comparison.scenario.currency
    workload, reseller = comparison.scenario.workload, comparison.reseller
    yield "## From a provider"
    yield (
        f"A month: {workload.documents:,.0f} documents, {tokens_text(workload.output_tokens)} output tokens and "
        f"{tokens_text(workload.input_tokens)} input tokens; a year is twelve of them."
    )
    more = [] if reseller is None else ["by the reseller, a month"]
    yield _table(
        ["model", "per M tokens in", "out", "latency", "a month", "a year", "a document", *more],
        (_api_row(model, currency) for model in comparison.models),
    )
    if reseller is not None:
        yield f"The reseller saves {_percent(reseller.saving)}: {reseller.terms}."
    yield "By volume, output tokens a month:"
    yield _table(
        ["model", *(tokens_text(volume) for volume in comparison.scenario.volumes)],
        (
            [escaped(model.name), *(money(cost, currency) for cost in model.cost.by_volume)]
            for model in comparison.models
        ),
    )

    yield (
        "Prices: " + "; ".join(f"{escaped(model.name)} {escaped(model.source)}" for model in comparison.models) + "."
    )


def _api_row(model: ModelCost, currency: str) -> list[str]:
    latency = "" if model.latency_ms is None else f"{model.latency_ms:,f} ms"
    cost = model.cost
    sums = [cost.monthly, cost.yearly, cost.per_document]
    if cost.by_reseller is not None:
        sums.append(cost.by_reseller)
    into = "" if model.price_input is None else money(model.price_input, currency)
    shown = [money(amount, currency) for amount in sums]
    return [escaped(model.name), into, money(model.price_output, currency), latency, *shown]


def _own(comparison: Comparison) -> Iterator[str]:
    own = comparison.own
    if own is None:
        return

    currency = comparison.scenario.currency
    yield "## On machines of your own"
    parts = {
        "colocation": own.colocation,
        "power": own.power,
        "operations": own.operations,
        "upkeep": own.upkeep,
        "rent": own.rent,
    }
    rows = [[name, _amount(span, currency)] for name, span in parts.items() if span.high]
    rows.append(["**running costs**", _amount(own.running, currency)])
    if own.purchase is not None:
        rows.append([f"amortisation of {_amount(own.purchase, currency)}", _amount(own.amortisation, currency)])
        rows.append(["**with amortisation**", _amount(own.total, currency)])
    nodes = "1 node" if own.nodes == 1 else f"{own.nodes} nodes"
    yield _table([nodes, "a month"], rows)
    if comparison.capacity is None:
        yield "No throughput was given: whether these machines could serve the volume is not known."
    elif own.capacity is not None:
        working, tokens = own.capacity.working_nodes, tokens_text(own.capacity.tokens)
        yield f"Capacity: {tokens} output tokens a month, with {working} of them at work."

    if (fit := comparison.fit) is not None:
        verdict = "fit" if fit.fits else "**do not fit**"
        yield (
            f"The weights of {escaped(fit.model)} ({fit.needed_gb:,f} GB at {fit.precision}) {verdict} "
            f"{fit.gpus} x {fit.memory_gb:f} GB with their reserve free: they take {fit.gpus_needed} such GPUs."
        )


def _break_even(comparison: Comparison) -> Iterator[str]:
    if comparison.own is None:
        return
    yield "## Where they meet"
    bought = comparison.own.purchase is not None
    months = comparison.scenario.horizon_months
    more = ["with amortisation", "pays back in", f"return over {months:f} months"] if bought else []
    yield "Tokens a month at which the API costs as much as these machines."
    yield _table(
        ["model", "running costs alone", *more, "can these machines serve that"],
        (_break_even_row(model, comparison, bought) for model in comparison.models),
    )


def _break_even_row(model: ModelCost, comparison: Comparison, bought: bool) -> list[str]:
    row = [escaped(model.name), span_text(model.own.running)]
    if bought:
        row += [span_text(model.own.total), _payback(model.own), _returns(model.own)]
    return [*row, _served(model.own.running, comparison.capacity)]


def _payback(own: OwnHostingCase) -> str:
    if own.payback is None or own.payback.soonest is None:
        return "never"
    soonest = f"{own.payback.soonest:,.1f} months"
    if own.payback.latest == own.payback.soonest:
        return soonest
    latest = "never" if own.payback.latest is None else f"{own.payback.latest:,.1f} months"
    return f"{soonest} to {latest}"


def _returns(own: OwnHostingCase) -> str:
    if own.return_on_investment is None:
        return ""
    worst, best = (_percent(share) for share in own.return_on_investment)
    return worst if worst == best else f"{worst} to {best}"


def _served(break_even: Span | None, capacity: Decimal | None) -> str:
    if break_even is None:
        return ""
    if capacity is None:
        return "not known"
    return "no" if break_even.low > capacity else "yes" if break_even.high <= capacity else "only the lower"


def _sensitivity(comparison: Comparison) -> Iterator[str]:
    if not comparison.sensitivity:
        return

    yield "## If it is otherwise"
    yield "Monthly costs with amortisation, and the break-even of each model by running costs alone."
    yield _table(
        [
            "what",
            "times",
            "nodes",
            "a month",
            "per M tokens at capacity",
            *(escaped(m.name) for m in comparison.models),
        ],
        (
            [
                each.varied,
                f"{each.factor:f}",
                str(each.nodes),
                _amount(each.own_monthly, comparison.scenario.currency),
                "" if each.own_per_million is None else _amount(each.own_per_million, comparison.scenario.currency),
                *(span_text(each.break_evens[model.name]) for model in comparison.models),
            ]
            for each in comparison.sensitivity
        ),
    )


def _amount(span: Span, currency: str) -> str:
    if span.low == span.high:
        return money(span.low, currency)
    return f"{money(span.low, currency)} - {money(span.high, currency)}"


def _percent(share: Decimal) -> str:
    return f"{share * 100:,.1f}%"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---", *("---:" for _ in head[1:])], *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
