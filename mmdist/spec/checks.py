"""The checks between keys: what no single key can tell, and no cluster or data is needed for."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.data import ColumnsSpec, CutmixSpec, LanesOrderSpec, MixupSpec
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec
from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob
from mmdist.spec.model import CNNSpec
from mmdist.spec.resolve import known_replicas
from mmdist.spec.yaml_source import Document, KeyPath

__all__ = ["check_job", "smallest_image_px"]

_SPLIT_NAMES = ("train", "validation", "test")


def check_job(job: JobSpec, document: Document) -> list[JobFileError]:
    """Every conflict between keys of a valid job, each at the place of the key to change.

    Args:
        job: With absolute folders and lanes filled in.
        document: The parsed file, for the places.
    """
    match job:
        case ImportJob():
            return list(_shares(job.import_, document))
        case TrainJob():
            return [
                *(_shares(job.import_, document) if job.import_ is not None else ()),
                *_columns(job.data.columns, document, needs_label=True),
                *_workers(job, document),
                *_batch(job, document),
                *_lanes(job, document),
                *_mixing(job, document),
                *_image_size(job, document),
                *_modes(job, document),
                *_imported_folders(job, document),
            ]
        case EvaluateJob():
            return list(_columns(job.data.columns, document, needs_label=True))
        case PredictJob():
            return list(_columns(job.data.columns, document, needs_label=False))


def smallest_image_px(spec: CNNSpec) -> int:
    """The smallest side that survives every 3x3 convolution (no padding) and 2x2 pooling of a tower."""
    side = 1
    for _ in spec.filters:
        side = 2 * side + 2
    return side


def _columns(columns: ColumnsSpec, document: Document, *, needs_label: bool) -> Iterator[JobFileError]:
    place = document.key_place(("data", "columns"))
    if columns.image is None and columns.text is None:
        yield JobFileError(
            "`data.columns` names nothing that a model could read",
            expected="`image`, `text` or both",
            received="neither",
            place=place,
            remedy="add `image: COLUMN` or `text: COLUMN` to `data.columns`",
        )
    if needs_label and columns.label is None:
        yield JobFileError(
            "`data.columns` names no label",
            expected="`label`: the column with the label",
            received="no `label`",
            place=place,
            remedy="add `label: COLUMN` to `data.columns`",
        )


def _workers(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    resources = job.resources
    if resources.min_workers is not None and resources.min_workers > resources.workers:
        yield JobFileError(
            "resources.min_workers is above resources.workers",
            expected=f"at most {resources.workers}",
            received=str(resources.min_workers),
            place=document.value_place(("resources", "min_workers")),
        )


def _batch(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    batch = job.train.global_batch_size
    replicas = known_replicas(job.resources)
    parts, name = (job.resources.workers, "workers") if replicas is None else (replicas, "replicas")
    if batch % parts:
        below, above = batch // parts * parts, (batch // parts + 1) * parts
        yield JobFileError(
            f"global_batch_size must divide by {parts} {name}; received {batch}. "
            f"Try {f'{below} or {above}' if below else above}.",
            expected=f"a multiple of {parts} (workers x replicas_per_worker)"
            if replicas is not None
            else f"a multiple of {parts}",
            received=str(batch),
            place=document.value_place(("train", "global_batch_size")),
        )


def _lanes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
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


def _mixing(job: TrainJob, document: Document) -> Iterator[JobFileError]:
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


def _image_size(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    smallest = smallest_image_px(job.model.image)
    height, width = job.data.image.size
    if job.data.columns.image is not None and min(height, width) < smallest:
        count = len(job.model.image.filters)
        yield JobFileError(
            f"pictures of {height} x {width} are too small for {count} convolutions with pooling",
            expected=f"at least {smallest} x {smallest}",
            received=f"{height} x {width}",
            place=document.value_place(("data", "image", "size")),
            remedy="raise `data.image.size`, or give `model.image.filters` fewer entries",
        )


def _modes(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    best, stopping = job.train.checkpoint.keep_best, job.train.early_stopping
    rules: list[tuple[tuple[str, ...], str, str]] = [(("train", "checkpoint", "keep_best"), best.metric, best.mode)]
    if stopping is not None:
        rules.append((("train", "early_stopping"), stopping.metric, stopping.mode))
    for path, metric, mode in rules:
        right = "min" if metric.endswith("/loss") else "max"
        if mode != right:
            yield JobFileError(
                f"`{metric}` is best when it is {'smallest' if right == 'min' else 'largest'}, "
                f"but `{'.'.join(path)}.mode` is `{mode}`",
                expected=f"`mode: {right}`",
                received=f"`mode: {mode}`",
                place=document.value_place((*path, "mode" if (*path, "mode") in document.places else "metric")),
                remedy=f"write `{path[-1]}: {{metric: {metric}, mode: {right}}}`",
            )


def _shares(spec: ImportSpec, document: Document) -> Iterator[JobFileError]:
    splits = spec.splits
    if not isinstance(splits, ShareSplitsSpec):
        return
    total = splits.train + splits.validation + splits.test
    if abs(total - 1.0) > 1e-6:
        yield JobFileError(
            f"the shares of `import.splits` must sum to 1; they sum to {total:.6g}",
            expected="train + validation + test = 1 (left out: 0.7, 0.1 and 0.2)",
            received=f"{splits.train:g} + {splits.validation:g} + {splits.test:g} = {total:.6g}",
            place=document.key_place(("import", "splits")),
        )


def _imported_folders(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    if job.import_ is None:
        return
    output = job.import_.output.rstrip("/")
    folders = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
    if not _is_below(job.data.train, output):
        yield JobFileError(
            "`data.train` does not lie in `import.output`: the job would import one dataset and train on another",
            expected=f"{output}/train",
            received=job.data.train,
            place=document.value_place(("data", "train")),
            remedy="set `data.train` to the imported split, or import in a job of its own (`kind: import`)",
        )
    for key, folder in folders.items():
        if folder is None or not _is_below(folder, output):
            continue
        split = folder.rstrip("/").removeprefix(output).strip("/")
        place = document.value_place(("data", key))
        if split not in _SPLIT_NAMES:
            yield JobFileError(
                f"importing writes no folder `{split}`" if split else f"`data.{key}` is the dataset, not a split of it",
                expected=" or ".join(f"{output}/{name}" for name in _SPLIT_NAMES),
                received=folder,
                place=place,
            )
        elif isinstance(job.import_.splits, ShareSplitsSpec) and getattr(job.import_.splits, split) == 0:
            yield JobFileError(
                f"`data.{key}` reads the split `{split}`, but `import.splits.{split}` is 0",
                expected=f"a share above 0, or another folder for `data.{key}`",
                received="0",
                place=place,
            )


def _is_below(folder: str, output: str) -> bool:
    return folder.rstrip("/") == output or folder.startswith(f"{output}/")
