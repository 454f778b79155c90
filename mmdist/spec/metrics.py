"""Which metrics a task counts, and which end of them is best."""

from typing import TypeVar

from mmdist.spec.optimizer import PlateauSpec
from mmdist.spec.task import Mode, TaskSpec
from mmdist.spec.train import EarlyStoppingSpec, KeepBestSpec

__all__ = ["known_metrics", "resolved_rule"]

_Rule = TypeVar("_Rule", KeepBestSpec, EarlyStoppingSpec, PlateauSpec)


def known_metrics(task: TaskSpec) -> dict[str, Mode]:
    """By name, such as `val/accuracy`, the best end of each metric of an epoch."""
    ends: dict[str, Mode] = {"loss": "min", **task.metrics}
    return {f"{split}/{name}": end for split in ("val", "train") for name, end in ends.items()}


def resolved_rule(rule: _Rule, task: TaskSpec) -> _Rule:
    """A rule with its metric and mode filled in: by default the task's first metric, at its best end."""
    metric = rule.metric or f"val/{next(iter(task.metrics), 'loss')}"
    return rule.model_copy(update={"metric": metric, "mode": rule.mode or known_metrics(task).get(metric, "min")})
