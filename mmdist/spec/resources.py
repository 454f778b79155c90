"""The resources section: how many workers, and what each of them has."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["ResourcesSpec"]


class ResourcesSpec(Spec):
    """What a job is given. One worker is one process on one machine, with one or more replicas."""

    workers: PositiveInt = 1
    """Worker processes, each on a machine of its own where a cluster has several."""
    min_workers: PositiveInt | None = None
    """Fewest workers that training goes on with where machines are lost; it grows back at a checkpoint once they
    return. Only counts that divide `data.order.lanes` are taken. By default, as many as `workers`."""
    gpus_per_worker: Literal["auto"] | NonNegativeInt = "auto"
    """GPUs of each worker; `auto`: all of a machine's, 0 where it has none."""
    replicas_per_worker: Literal["auto"] | PositiveInt = "auto"
    """Model replicas in a worker; `auto`: one per GPU; without GPUs, 1 logical CPU device."""
    cpus_per_worker: Literal["auto"] | PositiveInt = "auto"
    """CPU cores of each worker; `auto`: all of a machine's."""
    hang_timeout_s: PositiveInt = 60
    """Seconds without a step (of a prediction, a batch) after which a worker is ended and replaced; building and the
    first step, as long as they use the processor, may take 5 times that, and so may a row of an import."""
    max_failures: NonNegativeInt = 3
    """Lost workers that are replaced before the job ends."""
