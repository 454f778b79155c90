"""Log files of a run: what a process prints goes there instead of the user's terminal, and can be read back.

A file is `logs/ATTEMPT-WRITER-SEQ.log`. On a local disk a process writes one file; on an object store, where
nothing appends, what was printed since the last look is shipped as the next file.
"""

import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mmdist.errors import StorageError
from mmdist.storage import Store

__all__ = ["captured_output", "log_texts", "tail_logs"]

FOLDER = "logs"
SHIP_EVERY_S = 3.0


@contextmanager
def captured_output(run: Store, attempt: int, writer: str) -> Iterator[tuple[int, int]]:
    """Sends file descriptors 1 and 2 of this process to a log of the run, libraries written in C included.

    Words that a full disk has no room for are lost: a log must not end the work it tells of.

    Yields:
        Copies of the descriptors that they were before, for those who must still reach the terminal.
    """
    stem = f"{FOLDER}/{attempt:04d}-{writer}"
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    if run.is_local:
        run.make_folder(FOLDER)
        path = run.full_path(f"{stem}-000000.log")
    else:
        handle, path = tempfile.mkstemp(suffix=".log")
        os.close(handle)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    shipper = None if run.is_local else _Shipper(run, stem, path)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _words_to(1), _words_to(2)
    try:
        yield before
    finally:
        with suppress(OSError):
            streams[0].flush()
            streams[1].flush()
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), before, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        if shipper is not None:
            shipper.close()


class _Words(io.RawIOBase):
    """A descriptor to print to, which loses what it cannot write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        with suppress(OSError):
            return os.write(self._descriptor, data)
        return len(data)


def _words_to(descriptor: int) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(_Words(descriptor))
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Shipper:
    """Copies what a local file gained to numbered files of the run, until closed."""

    def __init__(self, run: Store, stem: str, path: str) -> None:
        self._run, self._stem, self._path = run, stem, path
        self._sequence = self._shipped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log-shipper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        os.unlink(self._path)

    def _work(self) -> None:
        while not self._closing.wait(SHIP_EVERY_S):
            self._ship()
        self._ship()

    def _ship(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._shipped)
            data = file.read()
        if data:
            # What storage refuses now goes with the next piece; a log must not end the work it tells of.
            with suppress(StorageError):
                self._run.write_bytes(f"{self._stem}-{self._sequence:06d}.log", data)
                self._sequence += 1
                self._shipped += len(data)


def log_texts(run: Store, offsets: dict[str, int]) -> Iterator[tuple[str, str]]:
    """What the logs gained since `offsets` (bytes read by file, updated): pairs of writer and text."""
    for entry in run.list(FOLDER):
        start = offsets.get(entry.path, 0)
        if entry.is_folder or not entry.path.endswith(".log") or entry.size_bytes <= start:
            continue
        with run.open_file(entry.path) as file:
            file.seek(start)
            data = file.read(entry.size_bytes - start)
        # Only whole lines, so that a line or a character that is just being written is not cut in two.
        end = data.rfind(b"\n") + 1
        if not end:
            continue
        offsets[entry.path] = start + end
        writer = entry.path.removeprefix(f"{FOLDER}/").removesuffix(".log").rpartition("-")[0]
        yield writer, data[:end].decode(errors="replace")


def tail_logs(run: Store, is_over: "threading.Event", *, every_s: float = 0.5) -> Iterator[tuple[str, str]]:
    """All log texts, then new ones as they come, until `is_over` is set and nothing is left."""
    offsets: dict[str, int] = {}
    while True:
        last_round = is_over.is_set()
        yield from log_texts(run, offsets)
        if last_round:
            return
        time.sleep(every_s)
