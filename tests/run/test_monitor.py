"""What is news in a run: each share of the budget, many errors and each outage are told once, as they come."""

from __future__ import annotations

from decimal import Decimal

from prefect_llm.engine import BreakerState, ProviderStatus
from prefect_llm.run.monitor import Alert, AlertRules, Observed, SpentBudget

OPEN, HALF_OPEN, CLOSED = BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED


def told(notices: list[Alert]) -> list[str]:
    return [str(each.what) for each in notices]


def spent(amount: str) -> Observed:
    return Observed(budgets=[SpentBudget("run", Decimal(amount), Decimal(10), "EUR")])


def percents(notices: AlertRules, *amounts: str) -> list[int]:
    return [each.payload["percent"] for amount in amounts for each in notices.of(spent(amount))]


def test_half_four_fifths_and_all_of_the_budget_are_told_once_each() -> None:
    amounts = ("0", "4.99", "5", "5.1", "7.99", "8.2", "9.9", "10", "10")
    assert percents(AlertRules(0.2), *amounts) == [50, 80, 100]


def test_of_several_shares_at_once_only_the_largest_is_told() -> None:
    notices = AlertRules(0.2)
    assert percents(notices, "9", "9", "10") == [80, 100]


def test_a_budget_s_notice_says_how_much_of_what() -> None:
    (notice,) = AlertRules(0.2).of(spent("8.123456789"))
    assert notice.message == "80% of the budget is used: €8.12346 of €10.00"
    assert notice.payload == {
        "percent": 80, "of": "run", "spent": "8.123456789", "budget": "10", "currency": "EUR",
    }  # fmt: skip


def test_a_month_s_budget_is_told_apart_from_the_run_s() -> None:
    of_run, of_month = (
        SpentBudget("run", Decimal(1), Decimal(10), "EUR"),
        SpentBudget("month", Decimal(81), Decimal(100), "EUR"),
    )
    (notice,) = AlertRules(0.2).of(Observed(budgets=[of_run, of_month]))
    assert (notice.payload["percent"], notice.payload["of"]) == (80, "month")
    assert notice.message == "80% of this month's budget is used: €81.00 of €100.00"


def test_of_two_budgets_the_one_with_least_left_has_stopped_the_run() -> None:
    of_run, of_month = (
        SpentBudget("run", Decimal("9.9"), Decimal(10), "EUR"),
        SpentBudget("month", Decimal(10), Decimal(100), "EUR"),
    )
    (notice,) = AlertRules(0.2).of(Observed(budgets=[of_run, of_month], exceeded=True))
    assert (notice.payload["percent"], notice.payload["of"]) == (100, "run")


def test_a_run_that_the_budget_stopped_has_used_it_up() -> None:
    """The next request no longer fitted: 100% is never quite reached."""
    seen = Observed(budgets=[SpentBudget("run", Decimal("9.7"), Decimal(10), "USD")], exceeded=True)
    (notice,) = AlertRules(0.2).of(seen)
    assert notice.payload["percent"] == 100
    assert notice.message == "the budget is used up: $9.70 of $10.00, and the next request does not fit the rest"


def test_without_a_budget_nothing_is_reached() -> None:
    assert AlertRules(0.2).of(Observed()) == []


def test_many_errors_are_told_once() -> None:
    notices = AlertRules(0.2)
    shares = (None, 0.1, 0.2, 0.21, 0.1, 0.9)
    assert [told(notices.of(Observed(error_share=share))) for share in shares] == [
        [],
        [],
        [],
        ["errors.high"],
        [],
        [],
    ]


def test_an_outage_is_told_when_it_begins_and_when_it_ends() -> None:
    notices = AlertRules(0.2)
    states = [(CLOSED, 0), (OPEN, 1), (HALF_OPEN, 1), (OPEN, 1), (CLOSED, 1), (CLOSED, 1)]
    news = [told(notices.of(Observed(statuses=[ProviderStatus("h", state, outages)]))) for state, outages in states]
    assert news == [[], ["breaker.opened"], [], [], ["breaker.closed"], []]


def test_an_outage_is_told_with_its_address_its_cause_and_when_the_run_stops() -> None:
    status = ProviderStatus(
        "h", OPEN, 1, base_url="http://h:8000/v1", fault="no connection: Connection refused", outage_limit_s=30.0
    )
    (notice,) = AlertRules(0.2).of(Observed(statuses=[status]))
    assert notice.message == (
        "http://h:8000/v1 fails (no connection: Connection refused): nothing is sent but a probe now and then; "
        "it is given up after 30 s without a success"
    )
    assert notice.payload == {"provider": "h"}


def test_an_outage_between_two_looks_is_told_too() -> None:
    notices = AlertRules(0.2)
    assert told(notices.of(Observed(statuses=[ProviderStatus("h", CLOSED, 1)]))) == [
        "breaker.opened",
        "breaker.closed",
    ]
    notices.of(Observed(statuses=[ProviderStatus("h", OPEN, 2)]))
    again = notices.of(Observed(statuses=[ProviderStatus("h", OPEN, 3)]))
    assert told(again) == ["breaker.closed", "breaker.opened"]


def test_each_provider_has_its_own_outages() -> None:
    notices = AlertRules(0.2)
    seen = Observed(statuses=[ProviderStatus("first", OPEN, 1), ProviderStatus("second", CLOSED, 0)])
    assert [each.payload["provider"] for each in notices.of(seen)] == ["first"]


def throttled(seconds: float) -> Observed:
    status = ProviderStatus(
        "llm.example", base_url="https://llm.example/v1", fault="HTTP 429: slow down", outage_limit_s=300,
        throttled=32, throttled_s=seconds, pause_s=41,
    )  # fmt: skip
    return Observed(statuses=[status])


def test_nothing_but_429_is_told_once_a_minute_with_how_many_and_for_how_long_everyone_waits() -> None:
    rules = AlertRules(0.2)
    seconds = (0.0, 4.0, 5.0, 30.0, 64.0, 65.0, 0.0, 6.0)
    assert [len(rules.of(throttled(each))) for each in seconds] == [0, 0, 1, 0, 0, 1, 0, 1]
    (alert,) = AlertRules(0.2).of(throttled(20.0))
    assert alert.message == (
        "https://llm.example/v1 has answered nothing but 429 for 20.0 s, 32 times (HTTP 429: slow down): nothing is "
        "sent for another 41.0 s; it is given up after 300 s without a success"
    )
