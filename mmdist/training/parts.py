"""What a train loop is made of."""

from dataclasses import dataclass
from typing import Any

from mmdist.data.quarantine import BadRowBudget
from mmdist.models.tasks import Task
from mmdist.spec.job import TrainJob
from mmdist.storage import EventWriter, Store
from mmdist.training.averages import Averages
from mmdist.training.checkpoint import CheckpointWriter
from mmdist.training.divergence import Divergence
from mmdist.training.exchange import LedgerExchange
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.metrics import MetricWriter
from mmdist.training.policies import EarlyStopping, KeepBest, Plateau
from mmdist.training.precision import LossScale
from mmdist.training.prepare import Prepared
from mmdist.training.step import Steps

__all__ = ["LoopParts"]


@dataclass(frozen=True)
class LoopParts:
    """What a loop works with. `metrics` and `checkpoints` are None on workers other than the chief."""

    job: TrainJob
    run: Store
    events: EventWriter
    data: Prepared
    model: Any
    task: Task
    optimizer: Any
    averages: Averages
    loss_scale: LossScale
    steps: Steps
    divergence: Divergence
    heartbeat: Heartbeat
    exchanges: dict[str, LedgerExchange]
    """By split, as the budgets are."""
    budgets: dict[str, BadRowBudget]
    """By split, `train` and `validation`."""
    lanes: range | None
    """This worker's lanes; None for all."""
    validation_places: range
    """This worker's places of a batch of the validation split."""
    restart: int
    identity: dict[str, Any]
    """What a checkpoint must be of: hashes of job, data and vocabulary."""
    metrics: MetricWriter | None
    checkpoints: CheckpointWriter | None
    keep_best: KeepBest
    early_stopping: EarlyStopping
    plateau: Plateau

    @property
    def variables(self) -> list[Any]:
        """All arrays that a checkpoint keeps, in its order."""
        return [*self.model.variables, *self.optimizer.variables, *self.loss_scale.variables, *self.averages.variables]
