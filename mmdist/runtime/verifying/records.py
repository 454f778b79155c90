"""What a watched worker writes down as it goes, a JSON line at a time, so that a SIGKILL loses nothing."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["Opening", "Recording", "StepRecord", "append_line", "read_recording"]


@dataclass(frozen=True)
class Opening:
    """How a worker stood before its first step."""

    names: tuple[str, ...]
    """Path of each variable of model and optimizer."""
    groups: tuple[str, ...]
    """What each variable is: `weight`, `slot` or `seed`."""
    state: tuple[str, ...]
    """Digest of each variable."""
    step: int
    """Steps done before, as restored."""
    device_kind: str
    """`cpu` or `gpu`."""
    replicas: int
    threads: int


@dataclass(frozen=True)
class StepRecord:
    """One training step as it was fed, and the state that it began from."""

    epoch: int
    batch: int
    rows: tuple[int, ...]
    """Numbers, in the dataset, of all rows in the batch's places, set aside or not."""
    fed: tuple[int, ...]
    """Those of them that counted."""
    state: tuple[str, ...]
    """Digest of each variable before the step."""
    loss_sum: float
    counted: float
    """Rows that the step says it has counted, over all replicas."""
    unlike: tuple[str, ...]
    """Variables whose copies differed between replicas before the step."""


@dataclass(frozen=True)
class Recording:
    """All that one worker wrote down. `end` is None where it did not come to its end."""

    opening: Opening | None = None
    steps: tuple[StepRecord, ...] = ()
    end: tuple[str, ...] | None = None
    """Digest of each variable after the last step."""
    unlike: tuple[str, ...] = ()
    """Variables whose copies differed at the end."""
    failure: Mapping[str, Any] | None = None
    """The error that ended it, as `error_record` gives it."""
    controls: Mapping[str, bool] = field(default_factory=dict)
    """Planted faults by name, and whether the worker's own comparers saw them."""


def append_line(path: Path, kind: str, facts: Any) -> None:
    """Writes a line and hands it to the kernel: it outlives the process."""
    values = facts if isinstance(facts, dict) else asdict(facts)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **values}) + "\n")


def read_recording(path: Path) -> Recording:
    """What is there so far; a last line that is not whole is left out."""
    found = Recording()
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    for line in lines:
        values = json.loads(line)
        match values.pop("kind"):
            case "opening":
                found = replace(found, opening=Opening(**_tuples(values)))
            case "step":
                found = replace(found, steps=(*found.steps, StepRecord(**_tuples(values))))
            case "end":
                found = replace(found, end=tuple(values["state"]), unlike=tuple(values["unlike"]))
            case "failure":
                found = replace(found, failure=values)
            case "controls":
                found = replace(found, controls=values)
    return found


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
