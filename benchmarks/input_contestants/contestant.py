"""What every contestant is: a process that prepares once, and then reads one epoch each time it is told to.

Protocol, line by line on standard input and output: it prints `{"ready": true}`, reads `go`, prints
`{"rows": ..., "seconds": ..., "peak_mib": ...}`, and so on until its input ends. An epoch yields batches of 64
shuffled uint8 pictures; `seconds` runs from the request for the first batch to the end of the last. Nothing of
mmdist is imported here: contestants run in environments of their own.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BATCH = 64


def peak_mib() -> float:
    """Peak resident memory of this process and of the children that have ended, in MiB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def serve(prepare: Callable[[Path, Path, int], Callable[[int], Iterator[int]]]) -> None:
    """Runs a contestant.

    Args:
        prepare: Takes the Parquet folder, a scratch folder that stays between runs, and the pictures' side in
            pixels; returns a function from the epoch's number to an iterator of the rows in each batch, each
            batch ready as an array or tensor when its count is yielded.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print must not disturb the protocol
    epoch_of = prepare(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    answers.write(json.dumps({"ready": True}) + "\n")
    for epoch, line in enumerate(sys.stdin):
        if line.strip() != "go":
            break
        start = time.perf_counter()
        rows = sum(epoch_of(epoch))
        seconds = time.perf_counter() - start
        answers.write(json.dumps({"rows": rows, "seconds": seconds, "peak_mib": peak_mib()}) + "\n")
