"""Lays `--set key.path=value` over a parsed job file, before validation, so that both are judged alike."""

from collections.abc import Sequence
from typing import Any

from mmdist.errors import JobFileError, Place
from mmdist.spec.yaml_source import Document, KeyPath, KeyPlaces, parse_value

__all__ = ["apply_overrides"]


def apply_overrides(document: Document, overrides: Sequence[str]) -> Document:
    """The document with every `key.path=value` laid over it, in order; the later wins.

    A value is read by the rules of the file (`3`, `null`, `[64, 64]`, `{type: flip}`). A number in the path picks
    an item of a list. Sections on the way are made where they are missing.

    Raises:
        JobFileError: where an override has no `=`, a path that leads through a value, or a value that is not YAML.
    """
    value: Any = document.value
    places = dict(document.places)
    for override in overrides:
        source = f"--set {override}"
        name, equals, text = override.partition("=")
        path = name.strip().split(".")
        if not equals or not all(path):
            raise JobFileError(
                "not an override",
                expected="key.path=value, as in `--set train.epochs=3`",
                received=override,
                place=Place(source),
            )
        new, new_places = parse_value(text, source)
        value, where = _replaced(value, path, new, source, ())
        places = {known: place for known, place in places.items() if known[: len(where)] != where}
        for length in range(1, len(where)):
            places.setdefault(where[:length], _at(source))
        places[where] = _at(source)
        places |= {(*where, *below): place for below, place in new_places.items()}
    return Document(document.file, value, places)


def _at(source: str) -> KeyPlaces:
    return KeyPlaces(Place(source), Place(source))


def _replaced(value: Any, path: list[str], new: Any, source: str, above: KeyPath) -> tuple[Any, KeyPath]:
    """A copy of `value` with what lies at `path` replaced, and the path with list positions as numbers."""
    if not path:
        return new, above
    name, *rest = path
    if isinstance(value, tuple):
        if not name.isdigit() or int(name) >= len(value):
            where = ".".join(str(part) for part in above)
            raise JobFileError(
                f"no item `{name}` in `{where}`",
                expected=f"a number from 0 to {len(value) - 1}" if value else f"`--set {where}=[...]` for a new list",
                received=name,
                place=Place(source),
            )
        index = int(name)
        item, where_set = _replaced(value[index], rest, new, source, (*above, index))
        return (*value[:index], item, *value[index + 1 :]), where_set
    if value is not None and not isinstance(value, dict):
        where = ".".join(str(part) for part in above)
        raise JobFileError(
            f"`{where}` is a value and has no key `{name}`",
            expected=f"`--set {where}=value`",
            received=source,
            place=Place(source),
        )
    section = value or {}
    below, where_set = _replaced(section.get(name), rest, new, source, (*above, name))
    return {**section, name: below}, where_set
