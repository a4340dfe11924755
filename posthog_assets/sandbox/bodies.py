"""Request bodies, unpacked as PostHog's capture service does.

Belongs here: encodings and size limits. Does not belong here: what is inside.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final
from urllib.parse import parse_qs

import zstandard
from starlette.requests import Request


class BodyRefused(Exception):
    """The body cannot be taken; *status* is the HTTP status PostHog answers."""

    def __init__(self, status: int, tag: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.tag = tag
        self.words = words


#: rust/capture/src/v1/analytics/constants.rs.
V1_WIRE: Final = 10 << 20
V1_RAW: Final = 50 << 20

#: rust/capture/src/router.rs; unpacked a body may be five times as large.
BATCH_WIRE: Final = 20 << 20
EVENT_WIRE: Final = 2 << 20
_V0_GROWTH: Final = 5

#: DATA_UPLOAD_MAX_MEMORY_SIZE in posthog/settings: what the query API reads.
QUERY_WIRE: Final = 20 << 20


async def body_within(request: Request, limit: int) -> bytes:
    """Return the body of a request; raises BodyRefused without reading on where it is, or says it is, longer."""
    said = request.headers.get("content-length", "")
    pieces: list[bytes] = []
    held = 0
    if said.isdigit() and int(said) > limit:
        raise BodyRefused(413, "payload_too_large", "request body exceeds the limit")
    async for piece in request.stream():
        held += len(piece)
        if held > limit:
            raise BodyRefused(413, "payload_too_large", "request body exceeds the limit")
        pieces.append(piece)
    return b"".join(pieces)


def unpack_v1(body: bytes, encoding: str) -> bytes:
    """Return a v1 body unpacked by its Content-Encoding."""
    if len(body) > V1_WIRE:
        raise BodyRefused(413, "payload_too_large", "request body exceeds the limit")
    try:
        match encoding:
            case "":
                raw = body
            case "gzip":
                raw = _inflate(body, 31, V1_RAW)
            case "deflate":
                raw = _inflate(body, 15, V1_RAW)
            case "zstd":
                reader = zstandard.ZstdDecompressor().stream_reader(body)
                raw = reader.read(V1_RAW + 1)
            case _:
                raise BodyRefused(415, "unsupported_encoding", f"unsupported content encoding: {encoding}")
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise BodyRefused(400, "request_decoding_error", "failed to decompress the body") from error
    if len(raw) > V1_RAW:
        raise BodyRefused(413, "payload_too_large", "decompressed body exceeds the limit")
    return raw


def unpack_v0(body: bytes, wire_limit: int, *, form: bool, hint: str) -> bytes:
    """Return the JSON text of an older request: plain, gzipped, base64, or a form with `data=`."""
    if len(body) > wire_limit:
        raise BodyRefused(413, "payload_too_large", "request body exceeds the limit")
    limit = wire_limit * _V0_GROWTH
    if body[:2] == b"\x1f\x8b" or hint in ("gzip", "gzip-js"):
        if body[:2] != b"\x1f\x8b" and body[:5] != b"data=":
            raise BodyRefused(400, "request_decoding_error", "failed to decode gzip")
        if body[:2] == b"\x1f\x8b":
            try:
                raw = _inflate(body, 31, limit)
            except (zlib.error, EOFError) as error:
                raise BodyRefused(400, "request_decoding_error", "failed to decode gzip") from error
            if len(raw) > limit:
                raise BodyRefused(413, "payload_too_large", "decompressed body exceeds the limit")
            return raw
    if hint == "lz64":
        raise BodyRefused(400, "request_decoding_error", "lz64 bodies are not supported by the sandbox")
    if form or body.startswith(b"data="):
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        text = fields.get("data", [""])[0]
        # A plus sign of base64 arrives as a space where the sender did not escape it.
        body = text.replace(" ", "+").encode() if text[:1] not in "{[" else text.encode()
    return body if body.lstrip()[:1] in (b"{", b"[") else _base64(body)


def _base64(body: bytes) -> bytes:
    try:
        text = body.strip()
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise BodyRefused(400, "request_decoding_error", "failed to decode the body") from error


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    stream = zlib.decompressobj(bits)
    raw = stream.decompress(body, limit + 1)
    if len(raw) <= limit and not stream.eof:
        raise EOFError("the stream ends early")
    return raw
