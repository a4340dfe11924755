"""Keeping credentials out of everything that is shown.

Belongs here: finding a known secret in a text, in whatever form it was repeated, and an unknown one by its shape. Does
not belong here: which secrets there are.

A server may repeat what it was sent: as it was, within quotes, percent-encoded, as base64 (of the secret, or of a
header that holds it), in other letters, or without the prefix that says what kind of key it is.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote

#: What stands where a secret stood.
HIDDEN: Final = "(the key)"

#: Kinds of keys are known by what stands before the first underscore: `phc_`, `phx_`, `sk_`.
_PREFIX: Final = re.compile(r"^[a-z]{2,5}_(?=.{8})", re.IGNORECASE)

#: A shorter base64 text says nothing: it would be found in other words.
_LEAST_BASE64: Final = 8

#: A shorter secret is a part of many words. It is one only where a value stands that it is the whole of:
#: `user:pw@host`, `password=pw`, `"pw"`.
_LEAST_ANYWHERE: Final = 4
_VALUE_BEGINS: Final = rb"(?<=[:='\"`<])"
_VALUE_ENDS: Final = rb"(?=[@&;,'\"`>)\s]|\\|$)"

#: A password in an address: `postgresql://user:password@host`. It may hold @ and / that should have been encoded.
_IN_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/'\":@]*:)[^\s'\"]+(?=@)", re.IGNORECASE)

#: Keys by how they begin: PostHog's, Stripe's, GitHub's, GitLab's, Slack's, Amazon's.
_KEYS: Final = re.compile(
    r"\b(ph[cxsr]_|[srp]k_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA)[A-Za-z0-9_-]{8,}"
)

#: `name=value` as options and signed addresses have it.
_NAMED: Final = re.compile(
    r"((?:key|secret|password|passwd|token|credential|signature|auth)\w*=)(?!\(the key\))[^\s&;,'\"]+",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """Return *text* without what has the shape of a credential: passwords in addresses, keys, `secret=value`."""
    for shape in (_IN_ADDRESS, _KEYS, _NAMED):
        text = shape.sub(r"\1***", text)
    return text


def hidden(body: bytes, *secrets: str) -> bytes:
    """Return *body* without the *secrets*, in any of the forms in which a server may repeat them.

    A secret of less than four characters is hidden only where it is the whole of a value.
    """
    for secret in secrets:
        if secret:
            body = _pattern(secret).sub(HIDDEN.encode(), body)
    return body


def hidden_text(text: str, *secrets: str) -> str:
    """Return *text* without the *secrets*, as `hidden` does."""
    return hidden(text.encode("utf-8", "surrogatepass"), *secrets).decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _pattern(secret: str) -> re.Pattern[bytes]:
    plain = {secret, _PREFIX.sub("", secret)}
    forms = {form.encode() for text in plain for form in (text, quote(text, safe=""), quote(text), _escaped(text))}
    forms |= {text.encode().hex().encode() for text in plain}
    anycase = b"|".join(_any_percent(form) for form in sorted(forms, key=len, reverse=True))
    if len(secret) < _LEAST_ANYWHERE:
        return re.compile(_VALUE_BEGINS + b"(?i:" + anycase + b")" + _VALUE_ENDS)
    base64s = {form for text in plain for form in _base64_forms(text.encode())}
    exact = b"|".join(re.escape(form) for form in sorted(base64s, key=len, reverse=True))
    # Beside it stands the rest of what was encoded together with it.
    coded = b"|(?:" + exact + rb")[A-Za-z0-9+/_-]{0,4}={0,2}" if exact else b""
    return re.compile(b"(?i:" + anycase + b")" + coded)


def _any_percent(form: bytes) -> bytes:
    """Return a pattern of *form* of which any character may be percent-encoded."""
    return b"".join(b"(?:%s|%%%02x)" % (re.escape(bytes([byte])), byte) for byte in form)


def _escaped(text: str) -> str:
    """Return *text* as it stands within a JSON string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/")


def _base64_forms(secret: bytes) -> set[bytes]:
    """Return what base64 of a text with *secret* in it holds, wherever in the text it stands."""
    forms = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + secret)
        # The first and last characters depend on what stands beside the secret.
        whole = (before + len(secret)) // 3 * 4
        inner = coded[(0, 2, 3)[before] : whole]
        if len(inner) >= _LEAST_BASE64:
            forms |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return forms
