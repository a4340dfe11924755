"""The base of everything a user can write in an import file.

Belongs here: how settings are validated and how a wrong one is explained. Does not belong here: any
particular setting; those live in the room they configure.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from posthog_assets.core.field_errors import explain, is_credential, meant
from posthog_assets.core.secrets import HIDDEN, without_credentials

__all__ = ["Choices", "HttpUrl", "OptionalHttpUrl", "Section", "TimeZone", "explain", "load_by_type", "secrets_in"]


class Section(BaseModel):
    """A section of the import file: immutable, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields as they may be shown: no text that is a credential by the name or the shape it has.

        Fields that are known to hold one are `SecretStr`; this is for addresses with passwords, for what is passed on
        to a library or an API, and for sections of a user's own.
        """
        for name, value in super().__repr_args__():
            yield name, _shown(value, name or "")

    #: What may stand for the whole section, as a JSON schema, where a validator of the section takes something else.
    short_form: ClassVar[JsonSchemaValue | None] = None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the JSON schema of the section as it stands in the file, where a value may be a template."""
        section = handler(schema)
        properties = handler.resolve_ref_schema(section).get("properties", {})
        for name, value in properties.items():
            properties[name] = _or_template(value)
        return {"if": {"type": "object"}, "then": section, "else": cls.short_form} if cls.short_form else section


def _shown(value: Any, name: str) -> Any:
    # A text that is also a member of an enumeration is shown as this.
    if type(value) is str:
        return HIDDEN if value and is_credential(name) else without_credentials(value)
    if isinstance(value, dict):
        return {key: _shown(item, str(key)) for key, item in value.items()}
    return type(value)(_shown(item, name) for item in value) if type(value) in (list, tuple) else value


#: What Dagster fills in when it loads the file, such as `{{ env.POSTHOG_HOST }}`.
_TEMPLATE: Final = {"type": "string", "pattern": r"\{\{.*\}\}"}

#: What an editor shows of a field, whichever of its types a value has.
_ANNOTATIONS: Final = ("title", "description", "default")


def _or_template(value: JsonSchemaValue) -> JsonSchemaValue:
    shown = {key: item for key, item in value.items() if key in _ANNOTATIONS}
    rule = {key: item for key, item in value.items() if key not in shown}
    allowed = rule.get("anyOf") or [rule]
    # Nothing to add where any text is fine, where anything is, or where it is there already.
    if "if" in rule or any(choice in ({"type": "string"}, {}, _TEMPLATE) for choice in allowed):
        return value
    if len(allowed) == 1 and not rule.keys().isdisjoint(("$ref", "properties", "items")):
        # A condition, so that what is wrong inside is reported there, and not as "none of these" here.
        text = _TEMPLATE if "type" in rule else {"anyOf": [_TEMPLATE, rule]}
        return {"if": {"type": "string"}, "then": text, "else": rule, **shown}
    return {"anyOf": [*allowed, _TEMPLATE], **shown}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; use a name such as Europe/Berlin or UTC") from error
    return name


#: The name of a time zone.
TimeZone = Annotated[str, AfterValidator(_zone)]


def _http_url(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that starts with https:// or http://")
    return value.strip().rstrip("/")


#: A URL of the web, without a slash at its end.
HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _none_if_empty(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


#: The same, None where it is empty, as an unset environment variable is.
OptionalHttpUrl = Annotated[HttpUrl | None, BeforeValidator(_none_if_empty)]


def secrets_in(options: Any, name: str = "") -> list[str]:
    """Return the credentials among *options* that are passed on to a library, known by their names."""
    if isinstance(options, dict):
        return [secret for key, value in options.items() for secret in secrets_in(value, str(key))]
    return [options] if isinstance(options, str) and options and is_credential(name) else []


T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Choices:
    """Annotates a section that `load_by_type` loads: its JSON schema has the fields of each class in *known*."""

    known: Mapping[str, type[BaseModel]]
    key: str = "type"

    def chosen(self, value: Mapping[str, Any]) -> type[BaseModel]:
        """Return the class that *value* names, a plain section where it names none that is known."""
        return self.known.get(str(value.get(self.key)), Section)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # Conditions, not `anyOf`: an editor and a validator then complain about the field that is wrong.
        return {
            "type": "object",
            "properties": {
                self.key: {
                    "anyOf": [
                        {"enum": [*self.known]},
                        {"type": "string", "pattern": r"\.", "description": "my_package.MyClass, a class of your own"},
                    ]
                }
            },
            "required": [self.key],
            "allOf": [
                {
                    "if": {"properties": {self.key: {"const": name}}, "required": [self.key]},
                    "then": section.__get_pydantic_json_schema__(section.__pydantic_core_schema__, handler),
                }
                for name, section in self.known.items()
            ],
        }


def load_by_type(value: Any, known: Mapping[str, type[T]], base: type[T], key: str = "type") -> T:
    """Return the section *value* describes, an object of the class its *key* names.

    The class is a name in *known*, or the dotted path of a subclass of *base* in anybody's own module.

    Raises:
        ValueError: there is no such class (pydantic's own error where a field is wrong).
    """
    if isinstance(value, base):
        return value
    if value is None:
        raise PydanticCustomError("missing", "is required and missing")
    if not isinstance(value, dict) or not isinstance(value.get(key), str):
        raise ValueError(f"needs a {key}: one of {', '.join(known)}, or my_package.MyClass")
    name = value[key]
    found = known.get(name) or _by_path(name, known, base, key)
    rest = {field: item for field, item in value.items() if field != key} if name not in known else value
    return found.model_validate(rest)


def _by_path(name: str, known: Mapping[str, type[T]], base: type[T], key: str) -> type[T]:
    module_name, _, class_name = name.rpartition(".")
    if not module_name:
        raise ValueError(
            f"{key} {name!r} is unknown{meant(name, list(known))}; allowed: {', '.join(known)}, or my_package.MyClass"
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{key} {name!r} cannot be imported: {error}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise ValueError(f"{key} {name!r} is not a subclass of {base.__module__}.{base.__name__}")
    return found
