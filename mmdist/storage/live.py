"""Live notes: small files that a running process overwrites, so that others see it work.

They inform (progress, heartbeats) and never decide: a run's state is a function of its immutable files.
"""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mmdist.storage.store import Store

__all__ = ["Attend", "read_live", "unattended", "write_live"]

FOLDER = "live"

Attend = Callable[[], AbstractContextManager[Callable[[], None]]]
"""What a piece of work enters to be seen; inside, it calls what it got whenever it has come a little further."""


def unattended() -> AbstractContextManager[Callable[[], None]]:
    """An `Attend` that tells nobody."""
    return nullcontext(lambda: None)


def write_live(run: Store, writer: str, facts: dict[str, Any]) -> None:
    """Replaces a writer's note, stamped with the time in seconds since 1970."""
    run.write_bytes(f"{FOLDER}/{writer}.json", json.dumps({"time": time.time(), **facts}, default=str).encode())


def read_live(run: Store, writer: str) -> dict[str, Any] | None:
    """A writer's newest note; None where there is none or it is just being replaced."""
    try:
        note = json.loads(run.read_bytes(f"{FOLDER}/{writer}.json"))
    except (ValueError, FileNotFoundError):
        return None
    return note if isinstance(note, dict) else None
