"""Says what to change when training waits for its input. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mmdist.spec.job import TrainJob
from mmdist.training.prepare import Prepared

__all__ = ["INPUT_BOUND_SHARE", "Advice", "InputFacts", "input_advice"]

INPUT_BOUND_SHARE = 0.1
"""Share of an epoch's training time, spent on waiting for batches, above which input is the bottleneck."""
_WHAT = {
    "read_wait": "reading shards",
    "prepare_wait": "tokenising and checking rows",
    "decode_wait": "decoding pictures",
}


@dataclass(frozen=True)
class InputFacts:
    """What can be changed about a worker's input."""

    is_remote: bool
    """Whether the shards lie on remote storage."""
    is_cached: bool
    """Whether the job keeps what it read on a local disk."""
    threads: int
    """Threads that decode in this worker."""
    image_size: tuple[int, int] | None
    """Height and width that the model trains on; None where it reads no pictures."""

    @classmethod
    def of(cls, job: TrainJob, data: Prepared) -> "InputFacts":
        """The facts about a worker that trains."""
        return cls(
            is_remote=not data.train.store.is_local,
            is_cached=job.data.cache is not None,
            threads=data.collator.threads,
            image_size=data.collator.image_size,
        )


class Advice(NamedTuple):
    """What to change, and why."""

    phase: str
    """`read_wait`, `prepare_wait` or `decode_wait`: what most of the waiting was for."""
    sentence: str


def input_advice(values: Mapping[str, float], facts: InputFacts) -> Advice | None:
    """One sentence that says what to change, or None where input is not the bottleneck.

    Args:
        values: Of an epoch, as `Pace.values` gives them.
        facts: About the input of this worker.
    """
    waiting = values.get("input_wait_share", 0.0)
    if waiting <= INPUT_BOUND_SHARE:
        return None
    shares = {phase: values[f"{phase}_share"] for phase in _WHAT}
    phase = max(shares, key=shares.__getitem__)
    what = _WHAT[phase] if phase != "decode_wait" or facts.image_size is not None else "putting batches together"
    return Advice(
        phase,
        f"input is the bottleneck: {waiting:.0%} of the training time went on waiting for batches, "
        f"most of it for {what} ({shares[phase]:.0%}): {_remedy(phase, facts)}",
    )


def _remedy(phase: str, facts: InputFacts) -> str:
    more_threads = f"give each worker more CPUs (resources.cpus_per_worker; {facts.threads} threads decode now)"
    if phase == "decode_wait" and facts.image_size is not None:
        height, width = facts.image_size
        return (
            f"{more_threads}, or import the pictures again nearer to the {height} x {width} pixels that are trained "
            "on (`mmdist data inspect` tells their sizes)"
        )
    if phase != "read_wait":
        return f"{more_threads}, or share the work out to more workers (resources.workers)"
    larger_groups = "import again with larger row groups (import.rows_per_group)"
    if not facts.is_remote:
        return f"put the shards on a faster disk, or {larger_groups}"
    if not facts.is_cached:
        return f"set data.cache, so that later epochs read from a local disk, or {larger_groups}"
    return (
        "wait for the cache, which fills in the first epoch; where later ones are slow too, raise data.cache.max_bytes "
        f"above the dataset's size, or {larger_groups}"
    )
