"""Classes by name are imported when they are asked for, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from posthog_assets.core.types_by_name import TypesByName

_DECIMALS = "decimal:Decimal"


def made() -> type[object]:
    return dict


def test_a_class_is_found_by_its_place_or_made_once() -> None:
    asked: list[str] = []

    def maker() -> type[object]:
        asked.append("made")
        return made()

    known: TypesByName[object] = TypesByName({"number": _DECIMALS, "object": maker})
    assert known["number"].__name__ == "Decimal"
    assert [known["object"], known["object"]] == [dict, dict]
    assert asked == ["made"]


def test_the_names_are_known_without_importing_anything() -> None:
    known: TypesByName[object] = TypesByName({"absent": "no_such_module:Nothing", "number": _DECIMALS})
    assert [*known] == ["absent", "number"]
    assert len(known) == 2
    assert "absent" in known
    assert known.get("other") is None
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        known["absent"]


#: What is imported one after the other in a new process, and what is not there then.
_ASKED = [
    ("import posthog_assets.pipeline.staging", ["manifest", "columns", "vendor"]),
    ("from posthog_assets.sources import SOURCES; SOURCES['files']", ["rest.source", "sql.source", "amplitude"]),
    ("from posthog_assets.dialects import DIALECTS; DIALECTS['columns']", ["mixpanel", "vendor", "several_events"]),
    ("from posthog_assets.pipeline.config.import_file import Import", ["sql.source", "people", "mixpanel"]),
]


def test_what_an_import_does_not_name_is_not_imported() -> None:
    steps = "\n".join(f"{asked}\nprint(*sys.modules)" for asked, _ in _ASKED)
    shown = subprocess.run([sys.executable, "-c", f"import sys\n{steps}"], stdout=subprocess.PIPE, check=True)
    for line, (_, others) in zip(shown.stdout.decode().splitlines(), _ASKED, strict=True):
        absent = {f"posthog_assets.{room}.{other}" for room in ("sources", "dialects") for other in others}
        assert absent & set(line.split()) == set()


def test_a_package_without_the_name_that_is_asked_for_says_so() -> None:
    import posthog_assets.dialects
    import posthog_assets.sources

    for package in (posthog_assets.sources, posthog_assets.dialects):
        with pytest.raises(AttributeError, match="has no attribute 'Mixpanle'"):
            package.Mixpanle  # noqa: B018
