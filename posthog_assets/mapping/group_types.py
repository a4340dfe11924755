"""Which group types the events of a day name.

Belongs here: finding them in columns of events. Does not belong here: which of them a project has
(`destination.known_group_types`).

Most events of a day name groups of the same few types, with other keys. So those that name known types only are passed
over first. Of the others the keys are taken out of the texts, and of those that are then equal only one is parsed.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from posthog_assets.core.arrow_columns import count_of
from posthog_assets.core.json_members import scalars
from posthog_assets.core.posthog_rules import with_groups

_CALL: Final = "$groupidentify"

#: A member of an object whose values are texts and numbers, and `$groups` of such members; any other is parsed.
_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_VALUE: Final = rf'(?:{_TEXT}|[^",{{}}\[\]]+)'
_MEMBER: Final = rf"({_TEXT}):{_VALUE}"
_GROUPS: Final = rf'"\$groups":(?P<groups>\{{(?:{_TEXT}:{_VALUE},?)*\}})'


_ANY_GROUPS: Final = b'"$groups":'


class GroupTypes:
    """Collects the group types of events that are sent; memory grows with the types."""

    def __init__(self) -> None:
        self._shapes: set[str] = set()
        self.names: set[str] = set()

    def add(self, events: pa.RecordBatch) -> None:
        """Take the events (`POSTHOG_EVENTS`) that are not rejected."""
        grouped = with_groups(events["event"], events["properties"])
        if grouped is None:
            return
        named = pc.and_(grouped, pc.is_null(events["reject_reason"]))
        sent = events.select(["event", "properties"])
        sent = sent if pc.all(named).as_py() else sent.filter(named)
        called = pc.equal(sent["event"], _CALL)
        if pc.any(called).as_py():
            found = scalars(sent["properties"].filter(called), "$group_type")
            self.names.update(kind for kind in pc.unique(found).to_pylist() if kind)
        self._add_groups(sent["properties"])

    def _add_groups(self, texts: pa.StringArray) -> None:
        texts = self._with_unknown(texts)
        groups = pc.struct_field(pc.extract_regex(texts, _GROUPS), "groups")
        shapes = pc.replace_substring_regex(groups, _MEMBER, r"\1:0")
        for shape in pc.unique(shapes).to_pylist():
            if shape is None:
                self._parse(texts.filter(pc.is_null(shapes)))
            elif shape not in self._shapes:
                self._shapes.add(shape)
                same = pc.indices_nonzero(pc.equal(shapes, shape))
                # What looks like groups may stand deeper in the first of them.
                if self._parse(texts.take(same[:1])) != set(orjson.loads(shape)):
                    self._parse(texts.take(same))

    def _with_unknown(self, texts: pa.StringArray) -> pa.StringArray:
        """Return the texts without those that name known types only."""
        # Where `$groups` stands twice in one text, the other may be meant.
        if not self.names or count_of(texts, _ANY_GROUPS) > len(texts):
            return texts
        names = "|".join(re.escape(orjson.dumps(name).decode()) for name in sorted(self.names))
        known = pc.match_substring_regex(texts, rf'"\$groups":\{{(?:(?:{names}):{_VALUE},?)*\}}')
        return texts.filter(pc.invert(known))

    def _parse(self, texts: pa.StringArray) -> set[str]:
        found: set[str] = set()
        for text in texts.to_pylist():
            groups: Any = orjson.loads(text).get("$groups")
            found.update(groups if isinstance(groups, dict) else ())
        self.names |= found
        return found
