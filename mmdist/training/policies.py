"""Small objects that decide: when to save, what to keep, when to end. Their state is plain JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmdist.spec.optimizer import PlateauSpec
from mmdist.spec.train import CheckpointSpec, EarlyStoppingSpec, KeepBestSpec

__all__ = ["EarlyStopping", "EverySteps", "KeepBest", "KeepLast", "Plateau"]


class EverySteps:
    """Saves after every so many steps; never, where the job saves at the end of epochs alone."""

    def __init__(self, spec: CheckpointSpec) -> None:
        self._steps = None if spec.every == "epoch" else spec.every

    def is_due(self, step: int) -> bool:
        """Whether to save after this many steps of the run."""
        return self._steps is not None and step % self._steps == 0


class KeepLast:
    """Keeps the newest checkpoints."""

    def __init__(self, count: int) -> None:
        self._count = count

    def chosen(self, folders: Sequence[str]) -> set[str]:
        """Those to keep, of folders from oldest to newest."""
        return set(folders[-self._count :])


class KeepBest:
    """Keeps the checkpoints with the best values of a metric; of equal ones, the earlier."""

    def __init__(self, spec: KeepBestSpec, entries: Sequence[Mapping[str, Any]] = ()) -> None:
        if spec.metric is None:
            raise ValueError("a rule to keep the best by needs its metric: see `resolved_rule`")
        self._metric = spec.metric
        self._spec = spec
        self.entries: list[dict[str, Any]] = [dict(entry) for entry in entries]
        """`folder`, `step`, `epoch` and `value` of each, best first. JSON-able: the state."""

    def offer(self, folder: str, *, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Takes a checkpoint of the end of an epoch, if it is among the best."""
        entry = {"folder": folder, "step": step, "epoch": epoch, "value": metrics[self._metric]}
        sign = 1.0 if self._spec.mode == "min" else -1.0
        ranked = sorted([*self.entries, entry], key=lambda each: sign * each["value"])
        self.entries = ranked[: self._spec.count]

    def chosen(self) -> set[str]:
        """Folders to keep."""
        return {entry["folder"] for entry in self.entries}


class _Patience:
    """Counts the epochs in which a metric has not improved; none without a spec."""

    def __init__(self, spec: EarlyStoppingSpec | PlateauSpec | None, state: Mapping[str, Any] | None = None) -> None:
        self._spec = spec
        self.best: float | None = state["best"] if state else None
        self.epochs_without: int = state["epochs_without"] if state else 0

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best": self.best, "epochs_without": self.epochs_without}

    def add(self, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of an epoch."""
        if self._spec is None:
            return
        value = metrics[self._spec.metric]
        gain = None if self.best is None else (self.best - value) * (1.0 if self._spec.mode == "min" else -1.0)
        if gain is None or gain > self._spec.min_delta:
            self.best, self.epochs_without = value, 0
        else:
            self.epochs_without += 1


class EarlyStopping(_Patience):
    """Ends training when a metric has not improved for more than `patience` epochs; never without a spec."""

    @property
    def is_over(self) -> bool:
        """Whether training ends."""
        return self._spec is not None and self.epochs_without > self._spec.patience


class Plateau(_Patience):
    """Lowers the learning rate when a metric has not improved for more than `patience` epochs; never without a spec."""

    def __init__(self, spec: PlateauSpec | None, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(spec, state)
        self._schedule = spec

    def lowered(self, rate: float) -> float:
        """The learning rate of the epochs that follow, by the one of now; `add` comes first."""
        if self._schedule is None or self.epochs_without <= self._schedule.patience:
            return rate
        self.epochs_without = 0
        return min(rate, max(rate * self._schedule.factor, self._schedule.min_rate))
