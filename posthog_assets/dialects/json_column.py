"""A column of JSON texts while rows are added to it.

Belongs here: texts that stand one behind the other, and the Arrow array made of them. Does not belong here: what is
written into them.

A Python object for each text would stay in memory until its batch is made; of 500 rows they fill the caches that the
next record is to be parsed in.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa


class JsonColumn:
    """Texts of JSON, one a row; None, or none of a row that has nothing to say, is null."""

    __slots__ = ("ends", "text")

    def __init__(self) -> None:
        #: The texts one behind the other. Whoever adds one to it adds its end to `ends` as well.
        self.text = bytearray()
        self.ends: list[int] = []

    def append(self, text: bytes | None) -> None:
        """Add the text of the next row."""
        if text:
            self.text += text
        self.ends.append(len(self.text))

    def __len__(self) -> int:
        return len(self.ends)

    def array(self, without: Iterable[int] = ()) -> pa.StringArray:
        """Return the texts, null in the rows *without* and in those that have none; nothing is added afterwards."""
        offsets = np.zeros(len(self.ends) + 1, np.int32)
        offsets[1:] = self.ends
        is_there = np.diff(offsets) > 0
        is_there[list(without)] = False
        valid = None if is_there.all() else pa.py_buffer(np.packbits(is_there, bitorder="little"))
        # orjson writes valid UTF-8, so the bytes are text as they stand.
        buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(self.text)]
        return pa.Array.from_buffers(pa.string(), len(self.ends), buffers)
