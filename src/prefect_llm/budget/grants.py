"""The log of a budget's grants: one file per entry, created only if it is the next.

Every process grants to itself, and none grants what another has: of two that create entry 7 at once one succeeds, and
the other reads it and tries 8. Money counts as spent from its grant until it is given back.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.money import MONEY, ZERO

GRANTS = "_run/grants/"

_NAME = re.compile(r"([0-9]{8,18})\.json")


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry: `change` was granted to `holder`, or given back if below 0. `total` is what is granted since.

    A holder is one process of a run, `{run_id}/{process}`. Those in `holding` may still give something back.
    """

    number: int
    change: Decimal
    total: Decimal
    currency: str
    holder: str
    at: datetime
    holding: frozenset[str] = frozenset()

    def to_json(self) -> bytes:
        """The file's content; money as strings."""
        content = {
            "change": format(self.change, "f"),
            "total": format(self.total, "f"),
            "currency": self.currency,
            "holder": self.holder,
            "at": self.at.isoformat(),
            "holding": sorted(self.holding),
        }
        return json.dumps(content).encode()

    @classmethod
    def from_json(cls, number: int, content: bytes, where: str) -> Grant:
        """Read what `to_json` wrote. Raises `InvalidInput` for anything else."""
        try:
            read = json.loads(content)
            change, total = Decimal(read["change"]), Decimal(read["total"])
            if not (change.is_finite() and total.is_finite()):
                raise ValueError("an amount that is no number")
            at = datetime.fromisoformat(read["at"])
            holding = frozenset(map(str, read.get("holding", ())))
            return cls(number, change, total, str(read["currency"]), str(read["holder"]), at, holding)
        except (ValueError, KeyError, TypeError, InvalidOperation) as error:
            raise InvalidInput(
                f"{where} is not a grant of a budget ({error}): put back the file as it was, or give a new output"
            ) from error


class GrantLog:
    """The grants below a prefix of a folder, in one currency, as one process of a run uses them.

    Thread-safe; one IO at a time. Reading and writing raise `OSError` of the folder, and `InvalidInput` for an entry
    that is damaged or in another currency.
    """

    def __init__(self, folder: Folder, currency: str, run_id: str, prefix: str = GRANTS) -> None:
        self._folder = folder
        self._currency = currency
        self._run = f"{run_id}/"
        self._holder = f"{self._run}{secrets.token_hex(4)}"
        self._prefix = prefix
        self._last: Grant | None = None
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """The URL below which its entries lie."""
        return f"{self._folder.url}/{self._prefix}"

    def total(self) -> Decimal | None:
        """What is granted and not given back; `None` if nothing was ever granted."""
        last = self.last()
        return None if last is None else last.total

    def last(self) -> Grant | None:
        """The last entry of any process; `None` if nothing was ever granted."""
        with self._lock:
            return self._look()

    def others_hold(self, entry: Grant) -> bool:
        """Whether other processes of this run may still give something back, as of that entry."""
        return bool(self._of_this_run(entry) - {self._holder})

    def is_of_this_run(self, entry: Grant) -> bool:
        """Whether a process of this run wrote it."""
        return entry.holder.startswith(self._run)

    def count_earlier_spend(self, spent: Decimal) -> None:
        """Count at least `spent` as granted: attempts without a budget drew no grants.

        For a log of one run, before an attempt at it begins: what earlier attempts still hold is never given back.
        """
        with self._lock:
            while (last := self._look()) is None or last.holding or spent > last.total:
                total = ZERO if last is None else last.total
                counted = max(spent, total)
                if self._append(MONEY.subtract(counted, total), counted, frozenset()):
                    return

    def drop_earlier_holders(self) -> None:
        """The same for a log of many runs: earlier attempts at this run give nothing back."""
        with self._lock:
            while (last := self._look()) is not None and (earlier := self._of_this_run(last)):
                if self._append(ZERO, last.total, last.holding - earlier):
                    return

    def grant(self, wanted: Decimal, limit: Decimal | None, least: Decimal = ZERO) -> Decimal:
        """Grant what is wanted, or what the limit leaves; 0 if that is less than `least`. Durable on return."""
        with self._lock:
            while True:
                last = self._last or self._look()
                total = ZERO if last is None else last.total
                change = wanted if limit is None else min(wanted, MONEY.subtract(limit, total))
                if change <= 0 or change < least:
                    if self._look() == last:  # refused only by the newest entry: others may have given back
                        return ZERO
                elif self._append(change, MONEY.add(total, change), self._holding | {self._holder}):
                    return change

    def give_back(self, amount: Decimal) -> None:
        """Give back a part of what was granted and not spent."""
        with self._lock:
            while amount > 0 and not self._gave_back(amount, self._holding | {self._holder}):
                pass

    def give_back_rest(self, amount: Decimal) -> None:
        """Give back all that was granted and not spent: this holder has nothing until its next grant."""
        with self._lock:
            while amount > 0 or self._holder in self._holding:
                if self._gave_back(amount, self._holding - {self._holder}):
                    return

    def _of_this_run(self, entry: Grant) -> frozenset[str]:
        return frozenset(holder for holder in entry.holding if holder.startswith(self._run))

    @property
    def _holding(self) -> frozenset[str]:
        return frozenset() if self._last is None else self._last.holding

    def _gave_back(self, amount: Decimal, holding: frozenset[str]) -> bool:
        assert self._last is not None, "only a grant can be given back"
        return self._append(MONEY.minus(amount), MONEY.subtract(self._last.total, amount), holding)

    def _append(self, change: Decimal, total: Decimal, holding: frozenset[str]) -> bool:
        """Write the next entry. `False` if another process has: then that one is read."""
        number = 0 if self._last is None else self._last.number + 1
        entry = Grant(number, change, total, self._currency, self._holder, datetime.now(UTC), holding)
        if self._folder.create(self._name(number), entry.to_json()):
            self._last = entry
            return True
        self._last = self._read(number)
        return False

    def _look(self) -> Grant | None:
        """The last entry of any process."""
        names = self._folder.names(self._prefix)
        numbers = [int(match[1]) for name in names if (match := _NAME.fullmatch(name.removeprefix(self._prefix)))]
        if numbers and (self._last is None or self._last.number < max(numbers)):
            self._last = self._read(max(numbers))
        return self._last

    def _read(self, number: int) -> Grant:
        name = self._name(number)
        entry = Grant.from_json(number, self._folder.read(name), f"{self._folder.url}/{name}")
        if entry.currency != self._currency:
            raise InvalidInput(
                f"{self._folder.url}/{self._prefix} holds a budget in {entry.currency}, and prices are in "
                f"{self._currency}: give prices in {entry.currency}"
            )
        return entry

    def _name(self, number: int) -> str:
        return f"{self._prefix}{number:08d}.json"
