"""Processes of this machine, told apart from those that had their ids before; and how one that hangs is ended."""

import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from mmdist.training.watchdog import STACKS_SIGNAL

__all__ = ["end_process", "is_alive", "machine", "this_process", "this_worker"]

STARTED_WITHIN_S = 2.0
"""The start of a process is counted from the machine's, which a clock that is set moves a little."""
LAST_WORDS_S = 2.0


def this_process() -> dict[str, Any]:
    """What identifies this process among all that ever ran: machine, process id, and when it started."""
    return {
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
    }


def this_worker() -> dict[str, Any]:
    """What finds this process of Ray's again, to end it should it hang: here, or through Ray on its node."""
    import ray as typed_ray

    ray: Any = typed_ray
    return {**this_process(), "node_id": ray.get_runtime_context().get_node_id()}


def machine() -> str:
    """The boot of this machine and the namespace that process ids count in."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{psutil.boot_time():.0f}"


def is_alive(pid: int, started_s: float) -> bool:
    """Whether the process that started then (seconds since 1970) under this id still runs on this machine."""
    return _find(pid, started_s) is not None


def end_process(facts: Mapping[str, Any], *, owes_stacks: bool = False) -> bool:
    """Ends the process with these facts of `this_process`, on this machine; False where it was gone.

    Args:
        facts: Which process.
        owes_stacks: Whether to leave it two seconds to write the stacks of its threads to its log: by itself where it
            was stopped, and goes on for so long; asked by `STACKS_SIGNAL` otherwise.
    """
    found = _find(facts["pid"], facts["process_started"])
    if found is None:
        return False
    with suppress(psutil.NoSuchProcess):
        if owes_stacks:
            is_stopped = found.status() == psutil.STATUS_STOPPED
            found.send_signal(signal.SIGCONT if is_stopped else STACKS_SIGNAL)
            time.sleep(LAST_WORDS_S)
        found.kill()
    return True


def _find(pid: int, started_s: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        is_it = abs(process.create_time() - started_s) < STARTED_WITHIN_S and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if is_it else None
