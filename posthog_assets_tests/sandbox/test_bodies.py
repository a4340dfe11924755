"""Request bodies, unpacked as PostHog's capture service does."""

from __future__ import annotations

import base64
import gzip
from urllib.parse import quote

import pytest

from posthog_assets.sandbox.bodies import BodyRefused, unpack_v0, unpack_v1

#: Its base64 has a plus sign and padding.
TEXT = b'{"event":"e>>>"}'


@pytest.mark.parametrize(
    "body",
    [TEXT, gzip.compress(TEXT), base64.b64encode(TEXT), base64.b64encode(TEXT).rstrip(b"="),
     b"data=" + quote(base64.b64encode(TEXT)).encode(), b"data=" + base64.b64encode(TEXT),
     b"data=" + quote(TEXT).encode()],
    ids=["plain", "gzip", "base64", "unpadded", "form", "unescaped form", "form of text"],
)  # fmt: skip
def test_an_older_request_may_be_packed_in_many_ways(body: bytes) -> None:
    assert unpack_v0(body, 1_000, form=False, hint="") == TEXT


@pytest.mark.parametrize(
    ("body", "hint", "status"),
    [(b"x" * 1_001, "", 413), (gzip.compress(b"x" * 5_001), "", 413), (TEXT, "gzip", 400), (TEXT, "lz64", 400),
     (b"no base64!", "", 400), (gzip.compress(TEXT)[:-4], "", 400)],
    ids=["too long", "too long unpacked", "not gzip", "lz64", "not base64", "cut off"],
)  # fmt: skip
def test_a_body_that_cannot_be_unpacked_has_posthogs_status(body: bytes, hint: str, status: int) -> None:
    with pytest.raises(BodyRefused) as refused:
        unpack_v0(body, 1_000, form=False, hint=hint)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("body", "encoding", "tag"),
    [(b"x", "br", "unsupported_encoding"), (b"x", "gzip", "request_decoding_error"),
     (b"x", "zstd", "request_decoding_error"),
     (gzip.compress(TEXT)[:-4], "gzip", "request_decoding_error")],
)  # fmt: skip
def test_a_v1_body_says_how_it_is_packed(body: bytes, encoding: str, tag: str) -> None:
    with pytest.raises(BodyRefused) as refused:
        unpack_v1(body, encoding)
    assert refused.value.tag == tag
