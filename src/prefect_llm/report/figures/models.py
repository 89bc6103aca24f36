"""What each model of a run did and cost, and what the same tokens would have cost from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.pricing import COST_STEP, at_prices_of, list_price, models_at
from prefect_llm.report.figures.ledger import LedgerLine, RowCounts, RunLedger, rows_of, tokens_of
from prefect_llm.values.money import MONEY, ZERO, add_money
from prefect_llm.values.price import Price
from prefect_llm.values.tally import TokenTally

MOST_OFFERED = 4
CLEARLY_CHEAPER = Decimal("0.8")
"""Of the cost: a model that saves less is not worth the trial."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One model at one provider on one lane. `cost` is that of its rows, `None` where part of it is unknown."""

    model: str
    provider: str
    lane: str
    currency: str | None
    rows: RowCounts
    tokens: TokenTally
    cost: Decimal | None

    @property
    def failed(self) -> int:
        """Rows that ended without an answer."""
        return self.rows.total - self.rows.ok

    @property
    def per_document(self) -> Decimal | None:
        """Money for one counted answer."""
        return None if self.cost is None or not self.rows.metered else MONEY.divide(self.cost, self.rows.metered)


@dataclass(frozen=True, slots=True)
class Offer:
    """The same answers, in tokens, from another model: what they cost there instead of `paid`."""

    model: str
    instead_of: str
    paid: Decimal
    cost: Decimal
    currency: str
    listed: bool


def by_model(ledger: RunLedger) -> tuple[ModelUse, ...]:
    """The dearest first; the lines of several days and price sources are one."""
    groups: dict[tuple[str, str, str], list[LedgerLine]] = {}
    lanes = {line.key.lane for line in ledger.rows if line.key.lane}
    alone = lanes.pop() if len(lanes) == 1 else ""
    for line in ledger.rows:
        key = (line.key.model or "", line.key.provider or "", line.key.lane or alone)
        groups.setdefault(key, []).append(line)
    made = [_use(*key, lines) for key, lines in groups.items()]
    return tuple(sorted(made, key=lambda each: (-(each.cost or 0), each.model, each.provider)))


def offers(models: Sequence[ModelUse]) -> tuple[Offer, ...]:
    """Clearly cheaper ways to have had the dearest model's answers: the run's other models, then the list's.

    Of the list only models of the same host, and of those the ones nearest in price: a model at a hundredth of it is
    hardly the same thing.
    """
    paid = next((each for each in models if each.cost and each.currency and each.rows.metered), None)
    if paid is None or paid.cost is None or paid.currency is None:
        return ()
    own = [offer for each in models if (offer := _own_offer(paid, each)) is not None]
    taken = {paid.model, *(offer.model for offer in own)}
    listed = [] if paid.currency != "USD" else [offer for offer in _listed(paid) if offer.model not in taken]
    return (*own[:MOST_OFFERED], *listed[: MOST_OFFERED - len(own)]) if len(own) < MOST_OFFERED else tuple(own)


def _use(model: str, provider: str, lane: str, lines: Sequence[LedgerLine]) -> ModelUse:
    cost: Decimal | None = ZERO
    for line in lines:
        cost = add_money(cost, line.cost)

    currencies = {line.key.currency for line in lines if line.key.currency}
    return ModelUse(
        model=model,
        provider=provider,
        lane=lane,
        currency=currencies.pop() if len(currencies) == 1 else None,
        rows=rows_of(lines),
        tokens=tokens_of(lines),
        cost=cost,
    )


def _own_offer(paid: ModelUse, other: ModelUse) -> Offer | None:
    """By money per token, in and out together: the rows do not say the rates. Only for a like share of output."""
    if other.model == paid.model or not other.cost or other.currency != paid.currency or not other.tokens.total:
        return None
    if not _alike(paid, other):
        return None
    cost = MONEY.divide(MONEY.multiply(other.cost, paid.tokens.total), other.tokens.total)
    return _clearly(Offer(other.model, paid.model, paid.cost or Decimal(0), cost, paid.currency or "", False))


def _alike(one: ModelUse, other: ModelUse) -> bool:
    shares = [each.tokens.output_tokens / each.tokens.total for each in (one, other)]
    return abs(shares[0] - shares[1]) <= 0.15


def _listed(paid: ModelUse) -> list[Offer]:
    address = f"https://{paid.provider}/v1"
    offered = []

    prices: set[Price] = set()
    for model in models_at(address):
        price = list_price(address, model)
        if price is None or price in prices:
            continue
        prices.add(price)  # a model under several names
        cost = at_prices_of(price, paid.tokens.usage, paid.rows.metered)
        if cost:
            offer = _clearly(Offer(model, paid.model, paid.cost or Decimal(0), cost, price.currency, True))
            offered += [] if offer is None else [offer]
    return sorted(offered, key=lambda offer: -offer.cost)


def _clearly(offer: Offer) -> Offer | None:
    cheaper = offer.cost <= MONEY.multiply(offer.paid, CLEARLY_CHEAPER)
    return Offer(offer.model, offer.instead_of, offer.paid, MONEY.quantize(offer.cost, COST_STEP), offer.currency,
                 offer.listed) if cheaper else None  # fmt: skip
