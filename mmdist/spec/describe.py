"""Says in words what a key of the job file accepts, and walks the models key by key."""

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from mmdist.spec.base import Spec
from mmdist.spec.job import EvaluateJob, ImportJob, PredictJob, TrainJob
from mmdist.spec.suggest import one_of

__all__ = [
    "JOB_KINDS",
    "Key",
    "choices",
    "describe",
    "discriminator",
    "item_type",
    "keys",
    "known_paths",
    "literals",
    "spec_classes",
    "type_names",
    "without_annotation",
]

JOB_KINDS: dict[str, type[Spec]] = {
    "import": ImportJob,
    "train": TrainJob,
    "evaluate": EvaluateJob,
    "predict": PredictJob,
}


@dataclass(frozen=True)
class Key:
    """One key of a section: its name in YAML, its type with constraints, and the model's field."""

    name: str
    annotation: Any
    field: FieldInfo

    @property
    def description(self) -> str:
        """The key's docstring, or that of its section, on one line."""
        text = self.field.description
        if text is None:
            classes = spec_classes(self.annotation)
            text = (classes[0].__doc__ or "") if len(classes) == 1 else ""
        return " ".join(text.split())


def keys(model: type[Spec]) -> dict[str, Key]:
    """The keys of a section by their name in YAML; the discriminator first, then as the model has them."""
    first = discriminator(model)
    found: dict[str, Key] = {}
    if first is not None:
        found[first] = Key(first, model.model_fields[first].annotation, model.model_fields[first])
    for name, field in model.model_fields.items():
        annotation = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        found[field.alias or name] = Key(field.alias or name, annotation, field)
    return found


def without_annotation(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without its `Annotated`, and the constraints that stood there."""
    constraints: list[Any] = []
    while typing.get_origin(annotation) is Annotated:
        annotation, *metadata = typing.get_args(annotation)
        for item in metadata:
            constraints += item.metadata if isinstance(item, FieldInfo) else [item]
    return annotation, constraints


def choices(annotation: Any) -> list[Any]:
    """The members of a union and of those inside it (Nones left out), or the type alone."""
    bare, _ = without_annotation(annotation)
    if typing.get_origin(bare) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(bare) if member is not type(None)]
        return [choice for member in members for choice in choices(member)]
    return [annotation]


def spec_classes(annotation: Any) -> list[type[Spec]]:
    """The sections that a key can hold; empty where it holds a value."""
    bare = [without_annotation(choice)[0] for choice in choices(annotation)]
    return [choice for choice in bare if isinstance(choice, type) and issubclass(choice, Spec)]


def literals(annotation: Any) -> list[str]:
    """The words that a type allows; empty where it allows more than single words."""
    bare, _ = without_annotation(annotation)
    return [str(word) for word in typing.get_args(bare)] if typing.get_origin(bare) is Literal else []


def item_type(annotation: Any, index: int) -> Any | None:
    """The type of a list's item; None where the key holds no list."""
    for choice in choices(annotation):
        bare, _ = without_annotation(choice)
        if typing.get_origin(bare) is tuple:
            members = typing.get_args(bare)
            return members[0] if Ellipsis in members else members[min(index, len(members) - 1)]
    return None


def discriminator(model: type[Spec]) -> str | None:
    """The key that tells a section from its alternatives: `type`, `kind`, or none."""
    return next((name for name in ("type", "kind") if name in model.model_fields), None)


def type_names(classes: Sequence[type[Spec]]) -> list[str]:
    """What the discriminator of alternative sections can be."""
    names: list[str] = []
    for model in classes:
        name = discriminator(model)
        if name is not None:
            names += typing.get_args(model.model_fields[name].annotation)
    return names


def describe(annotation: Any) -> str:
    """What a type accepts, in words: "a whole number of at least 1", "`auto` or a number from 0 to 1"."""
    classes = spec_classes(annotation)
    if classes:
        others = [describe(choice) for choice in choices(annotation) if not spec_classes(choice)]
        names = type_names(classes)
        section = f"a section with `{discriminator(classes[0])}`: {one_of(names)}" if len(names) > 1 else "a section"
        return " or ".join([section, *others])
    members = choices(annotation)
    if len(members) > 1:
        return " or ".join(describe(member) for member in members)
    return _describe_one(*without_annotation(members[0]))


def _describe_one(bare: Any, constraints: list[Any]) -> str:
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if origin is Literal:
        return one_of(literals(bare))
    if origin is tuple:
        if Ellipsis not in arguments:
            return f"a list of {len(arguments)} values, each {describe(arguments[0])}"
        least = next((rule.min_length for rule in constraints if isinstance(rule, MinLen)), 0)
        return f"a list{f' of at least {least}' if least else ''}, each item {describe(arguments[0])}"
    if origin is dict:
        return f"a mapping of {describe(arguments[0])} to {describe(arguments[1])}"
    if bare is bool:
        return "`true` or `false`"
    if bare is int:
        return f"a whole number{_bounds(constraints, whole=True)}"
    if bare is float:
        return f"a number{_bounds(constraints, whole=False)}"
    return "text"


def _bounds(constraints: list[Any], *, whole: bool) -> str:
    low = high = ""
    for rule in constraints:
        match rule:
            case Ge():
                low = f"of at least {rule.ge:g}" if whole else f"from {rule.ge:g}"
            case Gt():
                low = f"of at least {rule.gt + 1:g}" if whole else f"above {rule.gt:g}"  # type: ignore[operator]
            case Le():
                low = low.replace("of at least", "from")
                high = f"to {rule.le:g}" if low.startswith("from") else f"at most {rule.le:g}"
            case Lt():
                high = f"below {rule.lt:.10g}"
    if low.startswith("from") and not high.startswith("to"):
        low = low.replace("from", "of at least")
    joint = " " if high.startswith("to") else " and "
    return "".join(f" {text}" for text in [joint.join(part for part in (low, high) if part)] if text)


def known_paths(model: type[Spec]) -> Iterator[tuple[str, ...]]:
    """Every key of a job kind, in any section, as a path of names; lists and alternatives are looked into."""
    yield from _known_paths(model, ())


def _known_paths(model: type[Spec], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, key in keys(model).items():
        here = (*path, name)
        yield here
        inner = item_type(key.annotation, 0)
        for section in spec_classes(inner if inner is not None else key.annotation):
            yield from _known_paths(section, here)
