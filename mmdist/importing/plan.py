"""Cuts a source into parts, one task each. The parts depend on the source, the spec and the seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmdist.data.batches import BadRow
from mmdist.importing.sources import Listing, Problem, Ranges, RowKey
from mmdist.importing.splits import SPLITS, shuffle_key, split_of
from mmdist.importing.task import Part
from mmdist.spec.importing import ImportSpec

__all__ = ["ImportPlan", "plan_import"]

DUPLICATE = "a row before has the same id"
LISTING = "listing"


@dataclass(frozen=True)
class ImportPlan:
    """All parts, the rows of the source, and the rows that are bad by their keys alone."""

    parts: list[Part]
    rows: int
    bad: list[BadRow]


def plan_import(listed: Listing | Ranges, spec: ImportSpec, *, seed: int) -> ImportPlan:
    """Shares the rows of a listing out to splits and shards, shuffled; leaves ranges in the source's order."""
    match listed:
        case Ranges():
            parts = [Part(number, number, part) for number, part in enumerate(listed.ranges)]
            return ImportPlan(parts, sum(part.rows for part in listed.ranges), [])
        case Listing():
            return _plan_listing(listed.keys, spec, seed)


def _plan_listing(keys: Sequence[RowKey], spec: ImportSpec, seed: int) -> ImportPlan:
    by_split: dict[str, list[RowKey]] = {split: [] for split in SPLITS}
    bad: list[BadRow] = []
    seen: set[str] = set()
    for number, key in enumerate(keys):
        verdict = Problem("id", DUPLICATE) if key.id in seen else split_of(spec.splits, key, seed=seed)
        seen.add(key.id)
        if isinstance(verdict, Problem):
            name = key.id.encode(errors="replace").decode()
            bad.append(BadRow(LISTING, number, name, verdict.column, verdict.reason))
        else:
            by_split[verdict].append(key)
    parts: list[Part] = []
    for split, members in by_split.items():
        members.sort(key=lambda key: shuffle_key(seed, key.id))
        for shard, first in enumerate(range(0, len(members), spec.rows_per_shard)):
            parts.append(Part(len(parts), shard, members[first : first + spec.rows_per_shard], split))
    return ImportPlan(parts, len(keys), bad)
