"""How a batch is shared out to workers, replicas and lanes."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.augment import CutmixSpec, MixupSpec
from mmdist.spec.data import LanesOrderSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.resolve import known_replicas
from mmdist.spec.yaml_source import Document, KeyPath

__all__ = ["check_batch", "check_lanes", "check_mixing", "check_workers"]


def check_workers(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """The fewest workers are no more than the workers asked for."""
    resources = job.resources
    if resources.min_workers is not None and resources.min_workers > resources.workers:
        yield JobFileError(
            "resources.min_workers is above resources.workers",
            expected=f"at most {resources.workers}",
            received=str(resources.min_workers),
            place=document.value_place(("resources", "min_workers")),
        )


def check_batch(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A batch can be shared out evenly to the replicas."""
    batch = job.train.global_batch_size
    replicas = known_replicas(job.resources)
    parts, name = (job.resources.workers, "workers") if replicas is None else (replicas, "replicas")
    shown, product = f"{parts} {name}", "workers x replicas_per_worker"
    if job.train.accumulate > 1:
        parts *= job.train.accumulate
        shown, product = f"{shown} x {job.train.accumulate} (train.accumulate)", f"{product} x accumulate"
    if batch % parts:
        below, above = batch // parts * parts, (batch // parts + 1) * parts
        yield JobFileError(
            f"global_batch_size must divide by {shown}; received {batch}. "
            f"Try {f'{below} or {above}' if below else above}.",
            expected=f"a multiple of {parts} ({product})" if replicas is not None else f"a multiple of {parts}",
            received=str(batch),
            place=document.value_place(("train", "global_batch_size")),
        )


def check_lanes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Lanes divide the batch, and workers own whole lanes."""
    order, workers, batch = job.data.order, job.resources.workers, job.train.global_batch_size
    if not isinstance(order, LanesOrderSpec) or order.lanes is None or batch % workers:
        return
    if batch % order.lanes == 0 and order.lanes % workers == 0:
        return
    path: KeyPath = ("data", "order", "lanes")
    if path not in document.places:  # the default: the worker count is what does not fit it
        path = ("resources", "workers")
    possible = [lanes for lanes in range(workers, batch + 1, workers) if batch % lanes == 0]
    near = sorted(sorted(possible, key=lambda lanes: abs(lanes - order.lanes))[:2])  # type: ignore[operator]
    tried = " or ".join(str(lanes) for lanes in near)
    yield JobFileError(
        f"data.order.lanes must divide global_batch_size {batch} and be a multiple of {workers} "
        f"{'worker' if workers == 1 else 'workers'}; received {order.lanes}. Try {tried}.",
        expected=tried,
        received=str(order.lanes),
        place=document.value_place(path),
        remedy=f"set `data.order: {{type: lanes, lanes: {near[-1]}}}`",
    )


def check_mixing(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A row has a partner in its lane of a batch to be mixed with."""
    batch, workers = job.train.global_batch_size, job.resources.workers
    lanes = getattr(job.data.order, "lanes", None) or 1
    if batch >= 2 * lanes or batch % lanes:
        return
    fewer = [count for count in range(workers, batch // 2 + 1, workers) if batch % count == 0]
    larger = f"raise `train.global_batch_size` to {2 * lanes}"
    for number, spec in enumerate(job.data.image.augment):
        if isinstance(spec, MixupSpec | CutmixSpec):
            yield JobFileError(
                f"{spec.type} mixes rows of one lane, and a batch has one row of each lane",
                expected=f"a batch of at least {2 * lanes} rows for {lanes} lanes",
                received=f"global_batch_size {batch}",
                place=document.value_place(("data", "image", "augment", number)),
                remedy=f"set `data.order: {{type: lanes, lanes: {fewer[-1]}}}`, or {larger}" if fewer else larger,
            )
