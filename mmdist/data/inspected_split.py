"""What `mmdist data inspect` found in one split, summed up over its row groups."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.dataset import Dataset
from mmdist.data.distribution import spread
from mmdist.data.duplicates import Hashes, Looks, joined
from mmdist.data.group_look import Example, GroupLook
from mmdist.data.sound_look import Sounds

__all__ = ["InspectedSplit", "facts_of"]

_KEPT_LABELS = 1000
_SHOWN_BAD_ROWS = 20


@dataclass
class InspectedSplit:
    """A split, with all that was found in the row groups looked at so far."""

    name: str
    dataset: Dataset
    hashes: dict[str, Hashes] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    labels: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    sounds: Sounds = field(default_factory=Sounds)
    tokens: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    pictures: int = 0
    decoded: int = 0
    examples: dict[str | None, list[tuple[int, Example]]] = field(default_factory=dict)
    """By label, a heap of those first in the drawn order, the last of them on top."""
    places: dict[str | None, int] = field(default_factory=dict)

    def add(self, look: GroupLook, limit: int) -> None:
        """Adds a row group; of each label, up to so many examples are kept."""
        for part, (values, rows) in look.hashes.items():
            self.hashes.setdefault(part, Hashes()).add(values, rows)
        if look.looks is not None:
            self.looks.add(*look.looks)
        self.tokens.append(look.tokens)
        self.sounds.add(look.sounds)
        for name in ("labels", "nulls", "formats", "sizes"):
            getattr(self, name).update(getattr(look, name))
        for name in ("pictures", "decoded", "bad_rows"):
            setattr(self, name, getattr(self, name) + getattr(look, name))
        self.bad.extend(look.bad[: _SHOWN_BAD_ROWS - len(self.bad)])
        for example in look.examples:
            if example.label not in self.examples and len(self.examples) == _KEPT_LABELS:
                continue
            kept = self.examples.setdefault(example.label, [])
            push = heapq.heappush if len(kept) < limit else heapq.heappushpop
            push(kept, (-example.place, example))
            if len(kept) == limit:
                self.places[example.label] = -kept[0][0]


def facts_of(split: InspectedSplit) -> dict[str, Any]:
    """What was found, as JSON can hold it."""
    index = split.dataset.index
    shard_bytes = np.bincount(index.shard, weights=index.bytes).astype(np.int64)
    return {
        "rows": split.dataset.rows,
        "bytes": int(index.bytes.sum()),
        "shards": len(index.shards),
        "row_groups": len(index),
        "rows_per_group": spread(index.rows),
        "bytes_per_group": spread(index.bytes),
        "bytes_per_shard": spread(shard_bytes),
        "labels": dict(sorted(split.labels.items())),
        "nulls": dict(split.nulls),
        "tokens": spread(joined(split.tokens, np.int64)),
        "formats": dict(split.formats.most_common()),
        "sizes": [{"height": h, "width": w, "rows": n} for (h, w), n in split.sizes.most_common(10)],
        "sides": _side_histogram(split.sizes),
        "heights": spread(np.array([height for height, _ in split.sizes.elements()], np.int64)),
        "widths": spread(np.array([width for _, width in split.sizes.elements()], np.int64)),
        "pictures_looked_at": split.pictures,
        "pictures_decoded": split.decoded,
        "recordings": split.sounds.facts(),
        "repeated": {part: split.hashes.get(part, Hashes()).repeated for part in ("id", "image", "text", "audio")},
        "bad_rows": split.bad_rows,
        "bad_rows_shown": split.bad,
    }


def _side_histogram(sizes: Counter[tuple[int, int]]) -> list[dict[str, int]]:
    """Pictures by their longer side, in bins up to powers of two."""
    bins: Counter[int] = Counter()
    for (height, width), rows in sizes.items():
        bins[1 << max(0, max(height, width) - 1).bit_length()] += rows
    return [{"most_px": most, "rows": rows} for most, rows in sorted(bins.items())]
