"""Cuts the power at every operation of checkpoints being saved and pruned, and restores from all that may be left.

    python tests/faults/crash_states.py [--seed 0] [--limit 64] [--every 1]

Runs of several saves, with pruning and `keep_best`, are recorded: one that goes through, and ones that are killed
at an operation and gone on with. For each moment, each state that a power cut may leave is laid out in a folder and
restored from. Two times: with a disk that keeps what was synced, where what was told as saved must be there, and
with one that lies about content, where nothing damaged may be taken for whole.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crash_model import Disk, Step, Tree
from crash_runs import FOREIGN, NOTE, Deaf, Protocol, Saved, operations_of, record, train

from mmdist.errors import MmdistError
from mmdist.storage import open_store
from mmdist.training import checkpoint
from mmdist.training.checkpoint import Restored, checkpoint_name

TOLD, NEWER, NONE_YET = "the newest that was told", "one newer than told", "none, as none was told"
LOST, SILENT, STUCK, TRACEBACK = "LOST", "SILENTLY CORRUPT", "STUCK", "TRACEBACK"
WHOLE, REFUSED = "one that is whole", "all refused"
FAULTS = (LOST, SILENT, STUCK, TRACEBACK)


@dataclass
class Inspector:
    """Lays states out in a folder, restores from each, and counts what comes of it."""

    folder: Path
    protocol: Protocol
    saved: Saved = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    _lies: Tree = field(default_factory=dict)

    def inspect(self, tree: Tree, required: frozenset[str], *, lying: bool, where: str) -> bool:
        """Judges one state, unless it was met before. Whether it is what lies in the folder now."""
        key = hash((lying, required, tuple(sorted(tree.items()))))
        if key in self.seen:
            return False
        self.seen.add(key)
        self._lay_out(tree)
        outcome = self._judge(frozenset() if lying else required, lying=lying)
        self.counts[f"a lying disk: {outcome}" if lying and outcome not in FAULTS else outcome] += 1
        if outcome in FAULTS:
            self.faults.append(f"{outcome}: {where}: {', '.join(sorted(required)) or 'nothing'} was told")
        return True

    def go_on(self) -> None:
        """Saves once more after a crash: that must be what is restored then."""
        run, attempt = open_store(str(self.folder)), 9
        try:
            before, _ = self.protocol.restore(run, Deaf(run, attempt, "worker-0.0"))
            train(run, Deaf(run, attempt, "worker-0.0"), self.protocol, saves=1, saved=self.saved)
            after, _ = self.protocol.restore(run, Deaf(run, attempt, "worker-0.0"))
            step = before.state["step"] if before is not None else 0
            if after is None or after.folder != checkpoint_name(step + 1, attempt, 0):
                self.faults.append(f"{LOST}: a save after a crash: {after.folder if after else None}")
            left = [path for path in self.folder.glob("checkpoints/*-*") if not (path / "COMMITTED").exists()]
            self.faults += [f"left half written: {path}" for path in left if not (path / "notes.txt").exists()]
            theirs = [path for path in (*FOREIGN, NOTE) if self._lies.get(path) is not None]
            gone = [path for path in theirs if not (self.folder / path).exists()]
            self.faults += [f"{LOST}: a file of the user's: {path}" for path in gone]
            self.counts["users' files that stayed"] += len(theirs) - len(gone)
            self.counts["gone on with"] += 1
        except Exception as error:
            self.faults.append(f"{TRACEBACK}: a save after a crash: {type(error).__name__}: {error}")
        shutil.rmtree(self.folder)
        self._lies = {}

    def _judge(self, required: frozenset[str], *, lying: bool) -> str:
        run = open_store(str(self.folder))
        try:
            for folder in checkpoint.committed_checkpoints(run):
                try:
                    if not self._is_as_saved(checkpoint.read_checkpoint(run, folder)):
                        return SILENT
                except MmdistError:
                    if folder in required:
                        return LOST
            if not all((self.folder / folder / "COMMITTED").exists() for folder in required):
                return LOST
            try:
                restored, _ = self.protocol.restore(run, Deaf(run, 9, "worker-0.0"))
            except MmdistError:
                return REFUSED if lying else LOST if required else STUCK
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")
            return TRACEBACK
        if restored is None:
            return LOST if required else NONE_YET
        if not self._is_as_saved(restored):
            return SILENT
        newest = max(required, default="")
        if restored.folder < newest:
            return LOST
        if lying:
            return WHOLE
        return TOLD if restored.folder == newest else NEWER

    def _is_as_saved(self, restored: Restored) -> bool:
        arrays = [array.tobytes() for array in restored.arrays]
        return self.saved.get(restored.folder) == (restored.state, arrays)

    def _lay_out(self, tree: Tree) -> None:
        self.folder.mkdir(exist_ok=True)
        for path in sorted(self._lies.keys() - tree.keys(), reverse=True):
            target = self.folder / path
            target.rmdir() if self._lies[path] is None else target.unlink()
        for path in sorted(tree):
            content = tree[path]
            if path in self._lies and self._lies[path] == content:
                continue
            if content is None:
                (self.folder / path).mkdir()
            else:
                (self.folder / path).write_bytes(content)
        self._lies = dict(tree)


def moments(steps: list[Step], begun: int) -> Iterator[tuple[bool, int, Disk, frozenset[str]]]:
    """The disk after each step from `begun` on, an honest one and a lying one, with what was told by then."""
    for lying in (False, True):
        disk, required = Disk(content_is_synced=not lying), frozenset[str]()
        for number, step in enumerate(steps):
            if step.kind == "told":
                required = step.required
            else:
                disk.apply(step)
            if number >= begun:
                yield lying, number, disk, required


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in memory where there is one: a state is laid out in a millisecond there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def campaign(
    scratch: Path, protocol: Protocol, kills: Iterable[int], *, seed: int, limit: int, until: str = TRACEBACK
) -> Inspector:
    """Inspects an uninterrupted run, and for each of `kills` one whose first process is killed at that operation.

    Ends early with the first outcome `until`.
    """
    draw = random.Random(seed)
    inspector = Inspector(scratch / "state", protocol)
    for kill_at in (-1, *kills):
        name = "uninterrupted" if kill_at < 0 else f"killed at {kill_at}"
        inspector.saved = {}
        try:
            steps, begun = record(scratch / name.replace(" ", "-"), protocol, inspector.saved, kill_at=kill_at)
        except MmdistError as error:
            inspector.counts[LOST] += 1
            inspector.faults.append(f"{LOST}: {name}: {error}")
            break
        inspector.counts["crash moments"] += len(steps) - begun
        for lying, number, disk, required in moments(steps, 0 if kill_at < 0 else begun):
            is_new = False
            for tree in disk.crashes(limit // 4 if lying else limit, draw):
                where = f"{name}, after step {number}{', a lying disk' if lying else ''}"
                is_new = inspector.inspect(tree, required, lying=lying, where=where)
                if inspector.counts[until]:
                    return inspector
            if is_new and not lying and number % 5 == 0:
                inspector.go_on()
    return inspector


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=64, help="most states of one moment")
    parser.add_argument("--every", type=int, default=4, help="kill at one of so many operations")
    options = parser.parse_args()
    start = time.monotonic()
    with scratch_folder() as scratch:
        kills = range(0, len(operations_of(scratch)), options.every)
        found = campaign(scratch, Protocol(), kills, seed=options.seed, limit=options.limit)
    for name, count in sorted(found.counts.items()):
        sys.stdout.write(f"{count:8d}  {name}\n")
    for fault in found.faults[:20]:
        sys.stderr.write(f"{fault}\n")
    seconds = time.monotonic() - start
    sys.stdout.write(
        f"{len(found.seen)} distinct states in {seconds:.0f} s, seed {options.seed}: {len(found.faults)} lost, corrupt "
        "or stuck\n"
    )
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
