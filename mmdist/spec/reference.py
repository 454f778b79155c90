"""The reference of the job file as Markdown, made from the models: `mmdist schema --markdown`."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticUndefined

from mmdist.spec.base import Spec
from mmdist.spec.describe import (
    JOB_KINDS,
    Key,
    describe,
    discriminator,
    item_type,
    keys,
    spec_classes,
    type_names,
)

__all__ = ["job_reference"]

_HEAD = """# The job file

<!-- Made from the models by `mmdist schema --markdown`: change the docstrings in mmdist/spec, not this file. -->

A job file is YAML: one document, without tags, anchors and aliases. Scalars are read by YAML 1.2's rules: only
`true` and `false` are truth values, `1e-3` is a number, and `no` is text. An unknown or duplicate key is an error.
Relative folders lie in the current directory. `--set key.path=value` lays a value over the file
(`--set train.epochs=3`, `--set data.columns.text=null`, `--set data.image.augment.0.type=shift`) and is checked alike.

## Help in an editor

    mmdist schema > mmdist.schema.json

Editors with the YAML language server (VS Code's YAML extension, Neovim, Emacs and others) check and complete a job
file whose first line is

    # yaml-language-server: $schema=mmdist.schema.json
"""


def job_reference() -> str:
    """The whole page."""
    parts = [_HEAD]
    for kind, model in JOB_KINDS.items():
        parts.append(f"\n## `kind: {kind}`\n\n{_doc(model)}\n\n{_table(model)}")
    parts.append("\n# Sections\n")
    parts += [f"\n## {title}\n\n{_doc(model)}\n\n{_table(model)}" for title, model in _sections()]
    return "".join(parts)


def _sections() -> Iterator[tuple[str, type[Spec]]]:
    """All sections below the job kinds, in the order they are met: a title that tells them apart, and the model."""
    homes: dict[type[Spec], dict[str, list[str]]] = {}
    for kind, model in JOB_KINDS.items():
        _collect(model, kind, "", homes)
    paths = {section: ", ".join(f"`{path}`" for path in found) for section, found in homes.items()}
    for section, path in paths.items():
        names = type_names([section])
        others = [other for other in paths if paths[other] == path and not type_names([other])]
        kinds = sorted({kind for found in homes[section].values() for kind in found})
        suffix = f": {names[0]}" if names else f" of {' and '.join(kinds)} jobs" if len(others) > 1 else ""
        yield f"{path}{suffix}", section


def _collect(model: type[Spec], kind: str, prefix: str, homes: dict[type[Spec], dict[str, list[str]]]) -> None:
    for name, key in keys(model).items():
        item = item_type(key.annotation, 0)
        path = f"{prefix}{name}" + ("[]" if item is not None else "")
        for section in spec_classes(key.annotation if item is None else item):
            homes.setdefault(section, {}).setdefault(path, []).append(kind)
            _collect(section, kind, f"{path}.", homes)


def _doc(model: type[Spec]) -> str:
    return " ".join((model.__doc__ or "").split())


def _table(model: type[Spec]) -> str:
    rows = ["| Key | Accepts | Default | |", "| --- | --- | --- | --- |"]
    for name, key in keys(model).items():
        text = "" if name == discriminator(model) else key.description
        rows.append(f"| `{name}` | {describe(key.annotation)} | {_default(key)} | {text} |")
    return "\n".join(rows) + "\n"


def _default(key: Key) -> str:
    value = key.field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Spec):
        own = value.model_dump(mode="json", exclude_unset=True, by_alias=True)
        names = type_names([type(value)])
        if names and len(spec_classes(key.annotation)) > 1:
            own = {"type": names[0], **own}
        return f"`{_flow(own)}`" if own else "its defaults"
    if value is None:
        return "none"
    return f"`{_flow(value)}`"


def _flow(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(item) for item in value) + "]"
        case _:
            return str(value)
