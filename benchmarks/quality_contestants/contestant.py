"""What a peer is: a program that learns from the training rows, chooses on the validation rows, answers the test rows.

It is called with the folders of the three splits, a scratch folder of its own, a seed, and what it may read: `both`,
`text` or `picture`. It prints one line, `{"answers": {ID: LABEL, ...}, "chosen": "..."}`; all else goes to standard
error. Nothing of mmdist is imported here: peers run in environments of their own.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq


class Rows(NamedTuple):
    """A split, in the order of its shards."""

    ids: list[str]
    pictures: list[bytes]
    texts: list[str]
    labels: list[str]


class Race(NamedTuple):
    """What a peer is given."""

    train: Rows
    validation: Rows
    test: Rows
    """Its labels are not to be looked at."""
    scratch: Path
    seed: int
    reads: str


def read(folder: str) -> Rows:
    """All rows of a folder of shards; files whose names begin with `_` are none."""
    table = pq.read_table(folder, columns=["id", "image", "text", "label"])
    return Rows(*(table[name].to_pylist() for name in ("id", "image", "text", "label")))


def answer(learn: Callable[[Race], tuple[list[str], str]]) -> None:
    """Runs a peer: from the race to a label for each test row, and a word on what it chose."""
    line = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print must not disturb the answer
    train, validation, test = (read(folder) for folder in sys.argv[1:4])
    labels, chosen = learn(Race(train, validation, test, Path(sys.argv[4]), int(sys.argv[5]), sys.argv[6]))
    line.write(json.dumps({"answers": dict(zip(test.ids, labels, strict=True)), "chosen": chosen}) + "\n")
    line.close()
