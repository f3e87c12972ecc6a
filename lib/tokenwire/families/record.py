"""Record: a typed reading of one JSON object that loses nothing of it.

Theory of operation. Typed decode must cost what msgspec costs, and yet nothing
that a server sent may be lost. Both hold because each Record forbids unknown
fields: a strict decode that succeeds proves that every key was known, at every
depth, and that every value had its declared shape. So there are two readings:

* strict: one msgspec decode. This is the reading of nearly every event.
* open: taken when the strict one refuses. The JSON is read without types and
  laid over the same classes by `open_reading`: a known key with the expected
  shape becomes what it would have become, a known key of another shape keeps
  the JSON value as it came, and an unknown key becomes an attribute of the
  object where it stood.

Either way an Event keeps the JSON it was read from, so that `to_dict()` is
exactly what arrived, with absent and null told apart. Fields whose names begin
with an underscore are ours, not JSON: they are neither shown nor compared.
"""

from __future__ import annotations

import copy
import operator
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import msgspec

from .depth import SHALLOW, too_deep
from .json_text import plain_json

__all__ = ["ABSENT", "REFUSALS", "Event", "Member", "Private", "Record", "Unknown", "strict_run"]

R = TypeVar("R", bound="Record")

#: What a field reads that a server left out, where no value of its type would be true. Declared without None where the
#: official types are, so that who reads what every server sends need not ask first.
ABSENT: Any = None


if TYPE_CHECKING:
    Private = Any
else:

    class Private:
        """What msgspec takes the fields for that are ours: no JSON has this type, so none can set them."""


class Record(msgspec.Struct, kw_only=True, dict=True, forbid_unknown_fields=True):
    """A typed reading of one JSON object. Unknown keys are attributes too; see `model_extra`.

    `to_dict` and `to_json` write it again. msgspec's own encoders do not: they know neither what is unknown here nor
    which fields are ours.
    """

    #: Fields that servers send and the official types do not have: shown where they came, as those show them.
    unofficial: ClassVar[frozenset[str]] = frozenset()
    #: Fields that `to_dict` has also where they are None.
    always: ClassVar[frozenset[str]] = frozenset()

    def to_dict(self) -> dict[str, Any]:
        """This object as plain JSON values, without the optional fields that are None.

        For an Event that came from a server: exactly the JSON that arrived.
        """
        return _plain_set(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict()` as JSON text. indent: spaces per level, or None for one line."""
        return _json_text(self.to_dict(), indent)

    def model_dump(
        self,
        *,
        mode: str = "python",
        exclude_unset: bool = False,
        exclude_none: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """This object as the official SDK's types spell it: as it is now, with every field of theirs, sent or not.

        exclude_unset: without those not sent: `to_dict()`, and what was set since. exclude_none: leave out every None.
        Of pydantic's other options, those that make no difference here (`warnings`, `by_alias`) are passed over;
        TypeError for those that choose.
        """
        for name in ("include", "exclude", "exclude_defaults"):
            if options.get(name):
                raise TypeError(f"model_dump() here knows no {name}=: choose from what it gives")
        found = self._sent_and_set() if exclude_unset else _plain_all(self)
        return typing.cast("dict[str, Any]", _without_none(found)) if exclude_none else found

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """`model_dump(...)` as JSON text."""
        return _json_text(self.model_dump(**options), indent)

    def _sent_and_set(self) -> dict[str, Any]:
        return self.to_dict()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with these attributes changed, in its JSON too; what else was sent stays in it.

        deep: what it holds is copied as well. Not so `msgspec.structs.replace`, which leaves the JSON as it came
        and the unknown fields behind.
        """
        made = copy.deepcopy(self) if deep else copy.copy(self)
        for name, value in (update or {}).items():
            setattr(made, name, value)
        return made

    def __replace__(self, /, **changes: Any) -> Self:
        """For `copy.replace`: `model_copy(update=changes)`."""
        return self.model_copy(update=changes)

    # A Struct's own __copy__ and __reduce__ leave the unknown fields behind.

    def __copy__(self) -> Self:
        restore, arguments = self.__reduce__()
        return typing.cast(Self, restore(*arguments))

    def __reduce__(self) -> tuple[Callable[..., Record], tuple[Any, ...]]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _restored, (type(self), fields, dict(self.__dict__))

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs of name and value, as a pydantic model gives them: for `dict(...)`, and what asks in that way.

        FastAPI does, of whatever a route returns; it would find nothing here without, and answer `{}`.
        """
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        yield from _tag(self).items()
        yield from ((alias, getattr(self, name)) for name, alias in names if _shown(self, name))
        yield from self.__dict__.items()

    @property
    def model_extra(self) -> dict[str, Any]:
        """The fields that stood in this very object and are not in its official type, by name."""
        names = (name for name in self.__struct_fields__ if name in self.unofficial and _shown(self, name))
        return {**{name: getattr(self, name) for name in names}, **self.__dict__}

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name[0] != "_"
        ] + [f"{name}={value!r}" for name, value in self.__dict__.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


class Event(Record):  # noqa: PLW1641 - mutable, as every Struct of ours: it has no hash
    """A Record that came as one whole JSON text: an event of a stream, or a whole answer.

    It keeps that text. What it was built from is not compared by ==.
    """

    _json: Private = None  # bytes-like: the JSON text, or None where the event was made here

    def to_dict(self) -> dict[str, Any]:
        """Exactly the JSON that arrived, as plain values; for an event made here, its set fields."""
        if self._json is None:
            return _plain_set(self)
        return typing.cast("dict[str, Any]", plain_json(self._json))

    def _sent_and_set(self) -> dict[str, Any]:
        found = self.to_dict()
        return found if self._json is None else _as_set(self, found)

    def to_json(self, *, indent: int | None = None) -> str:
        """The JSON text that arrived, to the letter; laid out anew where indent (spaces per level) is given."""
        if self._json is None or indent is not None:
            return _json_text(self.to_dict(), indent)
        return bytes(self._json).decode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As Record.model_copy."""
        made = super().model_copy(update=update, deep=deep)
        if update and made._json is not None:
            names = dict(zip(made.__struct_fields__, made.__struct_encode_fields__, strict=True))
            changed = {names.get(name, name): _plain(value, Record.to_dict) for name, value in update.items()}
            made._json = msgspec.json.encode({**self.to_dict(), **changed})
        if update and getattr(made, "_open", None) is False:
            setattr(made, "_open", True)  # noqa: B010 - a chunk's: its shape is not proved any more
        return made

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        told = _told.get(type(self)) or _told_by(type(self))
        return bool(told(self) == told(other)) and self.__dict__ == other.__dict__

    def __ne__(self, other: object) -> bool:
        return not self == other  # a Struct's own would compare all fields


_told: dict[type[Event], Callable[[Event], Any]] = {}


def _told_by(cls: type[Event]) -> Callable[[Event], Any]:
    """What fetches all that == compares of such an event, but for its unknown fields: in C, and kept."""
    names = (name for name in cls.__struct_fields__ if name[0] != "_")
    found = _told[cls] = operator.attrgetter("__class__", *names)  # which must be asked for one at the least
    return found


def _restored(cls: type[R], fields: dict[str, Any], extra: dict[str, Any]) -> R:
    record = cls(**fields)
    if extra:
        record.__dict__.update(extra)
    return record


def _json_text(value: Any, indent: int | None) -> str:
    text = msgspec.json.encode(value)
    if indent is not None:
        text = msgspec.json.format(text, indent=indent)
    return text.decode()


# -- Records to plain values ---------------------------------------------------


def _plain(value: Any, of: Callable[[Record], dict[str, Any]]) -> Any:
    if isinstance(value, Record):
        return of(value)
    if isinstance(value, list):
        return [_plain(item, of) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, of) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    # The user's own object: what structured output was parsed into.
    dump = getattr(value, "model_dump", None)
    return msgspec.to_builtins(value) if dump is None else dump(mode="json")


def _tag(record: Record) -> dict[str, Any]:
    config = record.__struct_config__
    return {} if config.tag is None else {typing.cast(str, config.tag_field): config.tag}


def _shown(record: Record, name: str) -> bool:
    """Whether a field is JSON's, and one that a dump has whatever its value, or that came."""
    return name[0] != "_" and (name not in record.unofficial or getattr(record, name) is not None)


def _plain_all(record: Record) -> dict[str, Any]:
    names = zip(record.__struct_fields__, record.__struct_encode_fields__, strict=True)
    found = _tag(record)
    found.update(
        (alias, _plain(getattr(record, name), _plain_all)) for name, alias in names if _shown(record, name)
    )
    found.update(record.__dict__)
    return found


_fields: dict[type[Record], list[tuple[str, str, Any]]] = {}


def _fields_of(cls: type[Record]) -> list[tuple[str, str, Any]]:
    """Each field's name, its name in JSON, and its default; kept, as msgspec keeps it not."""
    found = _fields[cls] = [
        (
            field.name,
            field.encode_name,
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        )
        for field in msgspec.structs.fields(cls)
        if field.name[0] != "_"
    ]
    return found


def _plain_set(record: Record) -> dict[str, Any]:
    cls = type(record)
    found = _tag(record)
    for name, alias, default in _fields.get(cls) or _fields_of(cls):
        value = getattr(record, name)
        if value is None and default is None and name not in cls.always:
            continue
        found[alias] = _plain(value, _plain_set)
    found.update(record.__dict__)
    return found


def _as_set(record: Record, sent: dict[str, Any]) -> dict[str, Any]:
    """The JSON that a record came as, changed where its attributes were since."""
    for name, alias, default in _fields.get(type(record)) or _fields_of(type(record)):
        value = getattr(record, name)
        if alias in sent:
            sent[alias] = _as_set_value(value, sent[alias], default)
        elif value != default:
            sent[alias] = _plain(value, Record.to_dict)
    for name, value in record.__dict__.items():
        sent[name] = _as_set_value(value, sent.get(name), None)
    return sent


def _as_set_value(value: Any, sent: Any, default: Any) -> Any:
    if isinstance(value, Event):
        return sent  # the whole response in the last event of `.stream()`: more than came
    if isinstance(value, Record) and isinstance(sent, dict):
        same_kind = all(sent.get(name, kind) == kind for name, kind in _tag(value).items())
        return _as_set(value, sent) if same_kind else value.to_dict()
    if isinstance(value, list) and isinstance(sent, list) and len(value) >= len(sent):
        came = [_as_set_value(item, one, None) for item, one in zip(value, sent, strict=False)]
        return [*came, *(_plain(item, Record.to_dict) for item in value[len(sent) :])]
    # A value of the wrong shape may have been read as the default, where users rely on one: see open_reading.py.
    if value == sent or (value == default and default is not None and type(value) is not type(sent)):
        return sent
    return _plain(value, Record.to_dict)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


# -- The strict reading -------------------------------------------------------

#: What a strict decode raises: its payload is the open reading's.
REFUSALS: tuple[type[Exception], ...] = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def strict_run(
    strict: Callable[[bytes], Any], strict_lines: Callable[[bytes], list[Any]], payloads: list[bytes]
) -> list[Any]:
    """The strict reading of each of these, in order, up to the first that has none.

    Each payload begins with `{`, ends with `}`, and holds no line end.
    """
    # All by one call, one a line. That each of them is one JSON text by itself is then certain: where one ends inside
    # of something, its last `}` is followed by a line end, which no string may hold, or by a `{`, which nothing but
    # the end of a whole text may be followed by; so each holds whole texts, and there are no more than payloads.
    if len(payloads) > 1 and (max(map(len, payloads)) <= SHALLOW or not any(map(too_deep, payloads))):
        try:
            events = strict_lines(b"\n".join(payloads))
        except REFUSALS:
            events = []
        if len(events) == len(payloads):
            for event, payload in zip(events, payloads):  # noqa: B905 - they are, and it is for each token
                event._json = payload
            return events
    events = []
    for payload in payloads:
        if len(payload) > SHALLOW and too_deep(payload):
            break
        try:
            event = strict(payload)
        except REFUSALS:
            break
        event._json = payload
        events.append(event)
    return events


class Unknown(Record, kw_only=True):
    """A JSON object of a type that this version does not know: its `type`, and every key by attribute."""

    if TYPE_CHECKING:
        # At run time any string. Declared so, comparing `type` with a known one rules this class out.
        type: Literal["(unknown)"]

        def __getattr__(self, name: str) -> Any: ...
    else:
        type: str = ""


class Member(Record, kw_only=True, tag_field="type"):
    """One of several kinds of object, told apart by `type`; those of no known kind are Unknown."""

    other: ClassVar[type[Record]] = Unknown
