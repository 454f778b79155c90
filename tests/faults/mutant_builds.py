"""Builds of mmdist with one fault each: a copy of the package with a few lines put at the end of one file."""

import shutil
from pathlib import Path

import mmdist

SOURCE = Path(mmdist.__file__).parent

UNSYNCHRONISED = (
    "training/step.py",
    """
import keras
keras.optimizers.Optimizer._all_reduce_sum_gradients = lambda self, grads_and_vars: list(grads_and_vars)
""",
)
_FORGET = """
_assign_all = assign_arrays


def _kept(variables):
    kept = [number for number, variable in enumerate(variables) if "seed_generator" not in variable.path]
    assert len(kept) < len(variables)
    return kept


def assign_arrays(variables, arrays, *, file):
    kept = _kept(variables)
    whole = len(arrays) == len(variables)
    _assign_all([variables[n] for n in kept], [arrays[n] for n in kept] if whole else arrays, file=file)
"""
SEEDS_NOT_RESTORED = ("training/session.py", _FORGET)
SEEDS_NOT_SAVED = (
    "training/session.py",
    _FORGET
    + """

_save_all = CheckpointWriter.save


def _save(self, folder, variables, *rest, **named):
    variables = list(variables)
    return _save_all(self, folder, [variables[n] for n in _kept(variables)], *rest, **named)


CheckpointWriter.save = _save
""",
)


def cursor_off_by(difference: int) -> tuple[str, str]:
    """A resume that begins so many batches too late."""
    return (
        "training/state.py",
        f"""
_from_json = TrainingState.from_json


def _shifted(*words, **named):
    state = _from_json(*words, **named)
    state.next_batch += {difference}
    return state


TrainingState.from_json = staticmethod(_shifted)
""",
    )


def build(folder: Path, mutant: tuple[str, str]) -> Path:
    """What PYTHONPATH must name to run that build."""
    shutil.copytree(SOURCE, folder / "mmdist", ignore=shutil.ignore_patterns("__pycache__"))
    path, lines = mutant
    with (folder / "mmdist" / path).open("a") as file:
        file.write(f"\n{lines}")
    return folder
