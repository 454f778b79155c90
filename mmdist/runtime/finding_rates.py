"""`mmdist lr` from the job file to its result: check, import, sweep; and the result as a page and a picture."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmdist.errors import StorageError, UsageError, words_of
from mmdist.runtime.preflight import preflight
from mmdist.runtime.verifying.verify import import_first
from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.storage import open_store
from mmdist.storage.commit import COMMITTED

if TYPE_CHECKING:
    from mmdist.training.rate_finder import Sweep

__all__ = ["draw", "find_rate", "page"]

_SHOWN_ROWS = 24
_BAR = 40


def find_rate(loaded: LoadedJob, *, first: float, last: float, steps: int, announce: Callable[[str], None]) -> "Sweep":
    """Sweeps the learning rate of a train job, on this machine.

    The job's storage is left alone; only its import, where there is one and it was not done, writes its dataset.

    Args:
        loaded: The job.
        first: Rate of the first step.
        last: Rate of the last one.
        steps: Steps in all.
        announce: Called with what is done next, and now and then with a step.

    Raises:
        UsageError: where the job is of another kind.
        TrainingFailedError: where the loss never fell.
        MmdistError: what keeps the job from being trained at all.
    """
    job = loaded.spec
    if not isinstance(job, TrainJob):
        raise UsageError(
            "there is no learning rate to find",
            expected="a job of kind train",
            received=f"kind {job.kind} in {loaded.path}",
        )
    preflight(loaded)
    if job.import_ is not None and not open_store(job.import_.output).exists(COMMITTED):
        import tempfile
        from pathlib import Path

        announce(f"importing into {job.import_.output}, as `mmdist submit` would")
        with tempfile.TemporaryDirectory(prefix="mmdist-lr-import-") as folder:
            import_first(job, Path(folder))
    announce(f"training {steps} steps, from a rate of {first:.1e} to {last:.1e}")
    from mmdist.training.rate_finder import sweep

    def on_step(step: int, rate: float, loss: float) -> None:
        if step % 10 == 9:
            announce(f"step {step + 1} of {steps}: rate {rate:.1e}, loss {loss:.4g}")

    return sweep(job, first=first, last=last, steps=steps, on_step=on_step)


def page(sweep: "Sweep") -> str:
    """For a terminal: some of the steps with a bar each, and the rate to take."""
    shown = min(_SHOWN_ROWS, len(sweep.rates))
    steps = sorted({round(number * (len(sweep.rates) - 1) / max(shown - 1, 1)) for number in range(shown)})
    least, most = min(sweep.smoothed), max(sweep.smoothed[step] for step in steps)
    lines = [f"{'rate':<9} {'loss':>9}  smoothed over the steps before"]
    for step in steps:
        value = sweep.smoothed[step]
        share = (value - least) / (most - least) if most > least else 0.0
        lines.append(f"{sweep.rates[step]:<9.1e} {value:>9.4g}  {'#' * (1 + round(share * (_BAR - 1)))}")
    lines += [
        "",
        f"suggested: --set train.optimizer.learning_rate={sweep.suggested:.1e}",
        f"  the loss fell fastest there, up to a tenth of where it was lowest, at {sweep.lowest:.1e}"
        + (f"; at {sweep.rates[-1]:.1e} it diverged" if sweep.diverged else ""),
    ]
    return "\n".join(lines)


def draw(sweep: "Sweep", path: str) -> None:
    """Writes the curve as an SVG file. Raises StorageError where it cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(sweep.rates, sweep.losses, color="#b0b0b0", linewidth=1, label="loss of a batch")
    axes.plot(sweep.rates, sweep.smoothed, color="#1f4e9c", label="smoothed")
    axes.axvline(sweep.suggested, color="#c0392b", linestyle="--", label=f"suggested: {sweep.suggested:.1e}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.legend(frameon=False)
    try:
        figure.savefig(path, format="svg", metadata={"Date": None})
    except OSError as error:
        raise StorageError(
            "the picture cannot be written", received=words_of(error), remedy="name another file"
        ) from error
