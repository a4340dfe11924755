"""JSON texts are added to a column one by one, and are an Arrow array at the end."""

from __future__ import annotations

import pyarrow as pa
import pytest

from posthog_assets.dialects.json_column import JsonColumn


def column(*texts: bytes | None) -> JsonColumn:
    made = JsonColumn()
    for text in texts:
        made.append(text)
    return made


@pytest.mark.parametrize(
    ("texts", "without", "expected"),
    [
        ([], [], []),
        ([b"{}"], [], ["{}"]),
        ([None, b""], [], [None, None]),
        ([b'{"a":1}', None, '{"ö":"ü"}'.encode()], [], ['{"a":1}', None, '{"ö":"ü"}']),
        ([b"{}", b'{"a":1}', b"[]"], [1], ["{}", None, "[]"]),
        ([b"[%d]" % number for number in range(20)], [0, 9, 19], None),
    ],
)
def test_texts_come_out_as_they_went_in(
    texts: list[bytes | None], without: list[int], expected: list[str | None] | None
) -> None:
    array = column(*texts).array(without)
    array.validate(full=True)
    assert array.type == pa.string()
    kept = [text.decode() if text and n not in without else None for n, text in enumerate(texts)]
    assert array.to_pylist() == (kept if expected is None else expected)


def test_a_column_is_as_long_as_it_has_rows() -> None:
    assert len(column(b"{}", None)) == 2
