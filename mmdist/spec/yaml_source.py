"""Reads YAML into plain values, and remembers where each key and value stands. Nothing in it can run code.

The scalars are those of YAML 1.2's core schema: `no` is text, `1e-3` is a number, `012` is twelve. Tags, anchors,
aliases and duplicate keys are refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mmdist.errors import JobFileError, Place

__all__ = ["Document", "KeyPath", "KeyPlaces", "parse_document", "parse_value", "read_scalar"]

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class KeyPlaces:
    """Where a key stands and where its value does; for an item of a list both are the item's place."""

    key: Place
    value: Place


@dataclass(frozen=True)
class Document:
    """A parsed file: its values (mappings, tuples, scalars), and the places of all keys and items by their path."""

    file: str
    value: dict[str, Any]
    places: dict[KeyPath, KeyPlaces] = field(default_factory=dict)

    def key_place(self, path: KeyPath) -> Place:
        """Where a key stands; where it is not written, the nearest section above it that is."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path].key if path else Place(self.file, 1, 1)

    def value_place(self, path: KeyPath) -> Place:
        """Where a key's value stands; where it is not written, the nearest section's key above it that is."""
        return self.places[path].value if path in self.places else self.key_place(path)


def parse_document(text: str | bytes, file: str) -> Document:
    """Reads one YAML document with a mapping at its top.

    Args:
        text: The document; bytes are read as UTF-8.
        file: The file's name, for the places.

    Raises:
        JobFileError: where it is not YAML, or holds a tag, an anchor, an alias, a duplicate key, a second document
            or more than a job file can need; with file, line and column.
    """
    reader = _Reader(file, lines=True)
    value = reader.read(_decode(text, file))
    if value is None:
        raise JobFileError("the job file is empty", expected="a mapping that begins with `kind:`", place=Place(file))
    if not isinstance(value, dict):
        raise JobFileError(
            "a job file is a mapping of keys to values",
            expected="`kind: train` or another kind on a line of its own",
            received="a list" if isinstance(value, tuple) else "a single value",
            place=Place(file, 1, 1),
        )
    return Document(file, value, reader.places)


def parse_value(text: str, source: str) -> tuple[Any, dict[KeyPath, KeyPlaces]]:
    """Reads one value, as it is written behind a key; `source` stands for it in every place.

    Raises:
        JobFileError: by the rules of `parse_document`.
    """
    reader = _Reader(source, lines=False)
    return reader.read(_decode(text, source)), reader.places


def read_scalar(text: str) -> Any:
    """The value of an unquoted scalar."""
    if _NULL.fullmatch(text):
        return None
    if match := _BOOL.fullmatch(text):
        return match.group(1) is not None
    try:
        if _INT.fullmatch(text):
            return int(text)
        if _BASED_INT.fullmatch(text):
            return int(text, 0)
    except ValueError:  # more digits than Python converts
        return text
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _decode(text: str | bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        raise JobFileError(
            "the job file is too large",
            expected=f"at most {MAX_BYTES} bytes",
            received=f"{len(text)} bytes",
            place=Place(file),
        )
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise JobFileError(
            "the job file is not UTF-8 text",
            received=f"byte 0x{text[error.start]:02x}",
            place=Place(file, before.count(b"\n") + 1, column),
        ) from error


class _Reader:
    def __init__(self, file: str, *, lines: bool) -> None:
        self.file = file
        self.lines = lines
        self.places: dict[KeyPath, KeyPlaces] = {}

    def read(self, text: str) -> Any:
        try:
            events = yaml.parse(text, Loader=_Loader)
            next(events)  # the stream's start
            if isinstance(next(events), yaml.StreamEndEvent):
                return None
            value = self._value(next(events), events, ())
            next(events)  # the document's end
            following = next(events)
            if isinstance(following, yaml.DocumentStartEvent):
                raise JobFileError("a job file holds one YAML document", place=self._place(following))
            return value
        except yaml.YAMLError as error:
            raise self._syntax_error(error, text) from error

    def _value(self, event: Any, events: Iterator[Any], path: KeyPath) -> Any:
        self._refuse_references(event)
        if len(path) > MAX_DEPTH:
            raise JobFileError(f"nested deeper than {MAX_DEPTH} levels", place=self._place(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                place = self._place(event)
                self.places[(*path, len(items))] = KeyPlaces(place, place)
                items.append(self._value(event, events, (*path, len(items))))
            return tuple(items)
        return read_scalar(event.value) if event.implicit[0] else event.value

    def _mapping(self, events: Iterator[Any], path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(key_event := next(events), yaml.MappingEndEvent):
            self._refuse_references(key_event)
            place = self._place(key_event)
            if not isinstance(key_event, yaml.ScalarEvent):
                raise JobFileError("a key is a word, not a list or a mapping", place=place)
            key = key_event.value
            here = (*path, key)
            if key in mapping:
                raise JobFileError(
                    f"duplicate key `{key}`",
                    expected="each key once",
                    received=f"`{key}` here and {self._first(here)}",
                    place=place,
                    remedy="delete one of the two",
                )
            value_event = next(events)
            self.places[here] = KeyPlaces(place, self._place(value_event))
            mapping[key] = self._value(value_event, events, here)
        return mapping

    def _first(self, path: KeyPath) -> str:
        line = self.places[path].key.line
        return f"in line {line}" if line is not None else "before"

    def _refuse_references(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise JobFileError(
                "aliases are not allowed in a job file",
                expected="the value itself",
                received=f"*{event.anchor}",
                place=self._place(event),
            )
        if event.anchor is not None:
            raise JobFileError(
                "anchors are not allowed in a job file",
                expected="the value alone",
                received=f"&{event.anchor}",
                place=self._place(event),
            )
        if event.tag is not None:
            raise JobFileError(
                "tags are not allowed in a job file",
                expected="a plain value",
                received=event.tag.replace("tag:yaml.org,2002:", "!!"),
                place=self._place(event),
            )

    def _place(self, event: Any) -> Place:
        if not self.lines:
            return Place(self.file)
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _syntax_error(self, error: yaml.YAMLError, text: str) -> JobFileError:
        place = Place(self.file)
        if isinstance(error, yaml.MarkedYAMLError):
            problem = error.problem or error.context or "it cannot be read"
            mark = error.problem_mark or error.context_mark
            if mark is not None and self.lines:
                place = Place(self.file, mark.line + 1, mark.column + 1)
        else:
            problem = str(error).splitlines()[0]
        line = text.split("\n")[place.line - 1 : place.line] if place.line is not None else []
        return JobFileError(
            f"not valid YAML: {problem}",
            place=place,
            remedy="indent with spaces: YAML refuses tabs there" if "\t" in "".join(line) else None,
        )
