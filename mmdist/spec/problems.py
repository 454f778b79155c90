"""Turns what validation found into errors of mmdist: in its own words, at the place in the file, all of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from mmdist.errors import JobFileError, MultipleJobFileError, Place
from mmdist.spec.base import Spec
from mmdist.spec.describe import (
    JOB_KINDS,
    Key,
    choices,
    describe,
    discriminator,
    item_type,
    keys,
    known_paths,
    literals,
    spec_classes,
    type_names,
)
from mmdist.spec.suggest import did_you_mean, nearest, one_of
from mmdist.spec.yaml_source import Document, KeyPath

__all__ = ["dotted", "kind_error", "raise_all", "translate"]

_SHOWN_CHARS = 80
_MUCH_ALIKE = 0.8  # similarity of a typing error, rather than of another word


def raise_all(errors: Sequence[JobFileError]) -> None:
    """Raises the error, or all of them as one; nothing where there is none."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise MultipleJobFileError(sorted(errors, key=_by_place))


def _by_place(error: JobFileError) -> tuple[bool, int, int]:
    place = error.place or Place()
    # What stands in the file comes first, in its order; overrides have no line and come last.
    return place.line is None, place.line or 0, place.column or 0


def kind_error(document: Document) -> JobFileError:
    """The error of a job whose `kind` is missing or unknown."""
    received = document.value.get("kind")
    if "kind" in document.value:
        return JobFileError(
            f"unknown kind {_show(received)}{did_you_mean(str(received), JOB_KINDS)}",
            expected=f"`kind`: {one_of(JOB_KINDS)}",
            received=_show(received),
            place=document.value_place(("kind",)),
        )
    similar = nearest("kind", (str(key) for key in document.value), cutoff=0.7)
    return JobFileError(
        "key `kind` is missing" + (f"; is `{similar}` a typing error?" if similar is not None else ""),
        expected=f"`kind`: {one_of(JOB_KINDS)}",
        received=f"the keys {', '.join(f'`{key}`' for key in document.value)}",
        place=document.key_place((similar,) if similar is not None else ()),
    )


def translate(details: Sequence[ErrorDetails], model: type[Spec], document: Document) -> list[JobFileError]:
    """One error per place that validation refused.

    Args:
        details: What pydantic found.
        model: The job kind's model.
        document: The parsed file, for places and values.
    """
    errors: dict[KeyPath, JobFileError] = {}
    located = [(detail, _locate(detail, model)) for detail in details]
    wrong_type = {target.section for detail, target in located if _is_wrong_type(detail, target)}
    misspelt = {_key_meant(target) for detail, target in located if detail["type"] == "extra_forbidden"}
    for detail, target in located:
        if detail["type"] == "missing" and target.path in misspelt:
            continue  # it is there under a name that gets its own error
        if target.path in errors:  # further members of a union: the first error already names them all
            continue
        if target.section in wrong_type and not _is_wrong_type(detail, target):
            continue  # the other keys were judged by a type that was not meant
        errors[target.path] = _error(detail, target, model, document)
    return list(errors.values())


@dataclass(frozen=True)
class _Target:
    """What an error is about: its path in the file, the section that holds it, the type that was expected there."""

    path: KeyPath
    section: KeyPath
    owner: type[Spec]
    annotation: Any


def _locate(detail: ErrorDetails, model: type[Spec]) -> _Target:
    """Follows pydantic's location through the models: it also holds union members, which the file does not."""
    location = list(detail["loc"])
    path: KeyPath = ()
    section: KeyPath = ()
    owner, annotation = model, None
    current: type[Spec] | None = model
    while location:
        part = location.pop(0)
        if current is not None:
            key: Key | None = keys(current).get(str(part))
            owner, section, path = current, path, (*path, part)
            annotation = key.annotation if key is not None else None
        elif isinstance(part, int):
            path, annotation = (*path, part), item_type(annotation, part)
        elif annotation is not None and describe(annotation).startswith("a mapping"):
            path = (*path, part)
            annotation = str
        else:  # a member of a union of plain types
            break
        classes = spec_classes(annotation) if annotation is not None else []
        current = classes[0] if len(classes) == 1 else None
        if len(classes) > 1 and location:
            tag = location.pop(0)
            current = next((choice for choice in classes if tag in type_names([choice])), None)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _Target((*path, _tag_name(detail)), path, owner, annotation)
    return _Target(path, section, owner, annotation)


def _tag_name(detail: ErrorDetails) -> str:
    return str(detail.get("ctx", {}).get("discriminator", "'type'")).strip("'")


def _key_meant(target: _Target) -> KeyPath | None:
    """The path of the known key that an unknown one stands for, where the two are much alike."""
    close = nearest(str(target.path[-1]), keys(target.owner), cutoff=_MUCH_ALIKE)
    return (*target.section, close) if close is not None else None


def _is_wrong_type(detail: ErrorDetails, target: _Target) -> bool:
    is_tag = bool(target.path) and target.path[-1] == discriminator(target.owner)
    return detail["type"] == "union_tag_invalid" or (detail["type"] == "literal_error" and is_tag)


def _error(detail: ErrorDetails, target: _Target, model: type[Spec], document: Document) -> JobFileError:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(target, model, document)
    if detail["type"] in ("missing", "union_tag_not_found"):
        return _missing_key(detail, target, document)
    if _is_wrong_type(detail, target):
        return _unknown_type(target, document)
    received = detail["input"]
    allowed = [word for choice in choices(target.annotation) for word in literals(choice)]
    hint = did_you_mean(received, allowed) if isinstance(received, str) else ""
    expected = describe(target.annotation)
    remedy = None
    if detail["type"] == "string_pattern_mismatch":
        key = keys(target.owner)[str(target.path[-1])]
        expected = key.description
    elif expected == "text" and isinstance(received, bool | int | float):
        remedy = f'write it in quotes: "{received}"'
    elif received is None and expected.startswith("a section"):
        remedy = "delete the key, or write its keys on the lines below, indented"
    return JobFileError(
        f"wrong value for `{dotted(target.path)}`{hint}",
        expected=expected,
        received=_show(received),
        place=document.value_place(target.path),
        remedy=remedy,
    )


def _unknown_type(target: _Target, document: Document) -> JobFileError:
    received: Any = document.value
    for part in target.path:
        received = received[part]
    classes = spec_classes(target.annotation)
    known = type_names(classes) if classes else literals(target.annotation)
    return JobFileError(
        f"unknown {target.path[-1]} {_show(received)} for `{dotted(target.section)}`"
        f"{did_you_mean(str(received), known)}",
        expected=one_of(known),
        received=_show(received),
        place=document.value_place(target.path),
    )


def _missing_key(detail: ErrorDetails, target: _Target, document: Document) -> JobFileError:
    if isinstance(target.path[-1], int):
        whole = keys(target.owner)[str(target.path[-2])]
        return JobFileError(
            f"`{dotted(target.path[:-1])}` has too few entries",
            expected=describe(whole.annotation),
            received=str(target.path[-1]),
            place=document.value_place(target.path[:-1]),
        )
    name = str(target.path[-1])
    where = f" in `{dotted(target.section)}`" if target.section else ""
    if detail["type"] == "union_tag_not_found":
        expected = f"`{name}`: {one_of(type_names(spec_classes(target.annotation)))}"
    else:
        key = keys(target.owner)[name]
        expected = f"`{name}`: {describe(key.annotation)}" + (f" ({key.description})" if key.description else "")
    return JobFileError(f"key `{name}` is missing{where}", expected=expected, place=document.key_place(target.section))


def _unknown_key(target: _Target, model: type[Spec], document: Document) -> JobFileError:
    name = str(target.path[-1])
    siblings = list(keys(target.owner))
    return JobFileError(
        f"unknown key `{name}`{_where_meant(name, target, siblings, model)}",
        expected=one_of(siblings),
        received=f"`{name}`",
        place=document.key_place(target.path),
    )


def _where_meant(name: str, target: _Target, siblings: list[str], model: type[Spec]) -> str:
    """The nearest known key: in the section at hand, in another section, or in another kind of job."""
    meant = _key_meant(target)
    if meant is not None:
        return f"; did you mean `{meant[-1]}`?"
    section = tuple(str(part) for part in target.section)
    elsewhere = sorted((path for path in known_paths(model) if path[:-1] != section), key=len)
    homes = list(dict.fromkeys(dotted(path[:-1]) for path in elsewhere if path[-1] == name))
    if homes:
        return f"; it belongs under {one_of(homes)}" if homes[0] else "; it belongs at the top level"
    if hint := did_you_mean(name, siblings):
        return hint
    similar = nearest(name, [path[-1] for path in elsewhere], cutoff=_MUCH_ALIKE)
    if similar is not None:
        full = next(path for path in elsewhere if path[-1] == similar)
        return f"; did you mean `{dotted(full)}`?"
    kinds = [kind for kind, other in JOB_KINDS.items() if not section and name in keys(other)]
    return f"; it is a key of `kind: {kinds[0]}`" if kinds else ""


def dotted(path: Sequence[str | int]) -> str:
    """A path of keys as `--set` takes it: `data.image.augment.0.share`."""
    return ".".join(str(part) for part in path)


def _show(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, dict) and not value:
        return "an empty section"
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text.strip(chr(34)) if isinstance(value, str) else text}`"[: _SHOWN_CHARS + 1] + (
        "...`" if len(text) > _SHOWN_CHARS else ""
    )
