"""Amounts in another currency, at the rate of their day."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from posthog_assets.core.errors import ImportFileError
from posthog_assets.mapping.steps import Rejected, load_step
from posthog_assets.pipeline.mapping_files import open_step_files
from posthog_assets_tests.mapping.steps.applying import Given, after, event

RATES = b"""Date,USD,JPY,ISK,
2024-03-01,1.25,160,N/A,
2024-02-29,1.2,150,N/A,
2008-12-09,1.3,120,290,
"""
MONEY: dict[str, Any] = {"step": "currency", "amount": "price", "currency": "code", "to": "EUR", "rates": "rates.csv"}
FILES = Given({"rates.csv": RATES})


def converted(properties: dict[str, Any], at: datetime, **changes: Any) -> dict[str, Any]:
    return after(MONEY | changes, event(properties, at=at), FILES).properties


FRIDAY = datetime(2024, 3, 1, 9, tzinfo=UTC)


def test_an_amount_is_converted_at_the_rate_of_its_day() -> None:
    assert converted({"price": "10", "code": "usd"}, FRIDAY) == {"price": "10", "code": "usd", "price_eur": 8.0}
    assert converted({"price": 10, "code": "EUR"}, FRIDAY)["price_eur"] == 10.0
    assert converted({"price": 1600, "code": "JPY"}, FRIDAY, to="USD", into="usd")["usd"] == 12.5
    assert converted({"price": 10}, datetime(2024, 2, 29, 1, tzinfo=UTC), of="USD", decimals=4)["price_eur"] == 8.3333


def test_a_weekend_has_the_rate_of_friday_but_years_ago_is_no_rate() -> None:
    assert converted({"price": 10, "code": "USD"}, datetime(2024, 3, 3, tzinfo=UTC))["price_eur"] == 8.0
    for at, code in ((datetime(2024, 3, 9, tzinfo=UTC), "USD"), (FRIDAY, "ISK"), (FRIDAY, "XXX"), (FRIDAY, None)):
        assert "price_eur" not in converted({"price": 10, "code": code}, at)
    with pytest.raises(Rejected, match="^price has no rate to EUR: 'ISK' on 2024-03-01$"):
        converted({"price": 10, "code": "ISK"}, FRIDAY, missing="reject")
    with pytest.raises(Rejected, match="^price is no number: 'many'$"):
        converted({"price": "many", "code": "USD"}, FRIDAY, missing="reject")


def test_the_central_banks_rates_come_with_the_library() -> None:
    # 2013-03-21: 1.2910 dollars a euro, as the European Central Bank published it.
    step = {"step": "currency", "amount": "fare", "of": "USD", "to": "EUR"}
    given = event({"fare": 129.1}, at=datetime(2013, 3, 21, tzinfo=UTC))
    with open_step_files() as files:
        load_step(step).ready(files)(given)
    assert given.properties == {"fare": 129.1, "fare_eur": 100.0}


def test_rates_in_a_zip_are_read_too_and_wrong_ones_explained() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("eurofxref-hist.csv", RATES)
    given = event({"price": 10, "code": "USD"})
    after(MONEY, given, Given({"rates.csv": packed.getvalue()}))
    assert given.properties["price_eur"] == 8.0
    for rates, to, words in ((b"<html>", "EUR", "not in the form"), (RATES, "GBP", "has no rates of GBP")):
        with pytest.raises(ImportFileError, match=words):
            after(MONEY | {"to": to}, event({}), Given({"rates.csv": rates}))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"amount": "a", "to": "EUR"}, "needs currency"),
        ({"amount": "a", "of": "usd", "to": "EUR"}, "is no currency"),
        ({"to": "EUR", "of": "USD"}, "amount"),
    ],
)
def test_a_conversion_that_cannot_be_meant_is_refused(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load_step({"step": "currency"} | step)
