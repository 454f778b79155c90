"""What is imported, and the folders that it is read from."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.yaml_source import Document

__all__ = ["check_imported_folders", "check_shares"]


_SPLIT_NAMES = ("train", "validation", "test")


def check_shares(spec: ImportSpec, document: Document) -> Iterator[JobFileError]:
    """The shares of an import's splits sum to 1."""
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


def check_imported_folders(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """A job that imports reads what it has imported."""
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
