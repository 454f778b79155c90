"""A process that tells of itself as a worker does, and then of nothing more.

It sleeps after some steps (`stuck`), stops itself (`stopped`), keeps the interpreter's lock (`locked`), waits while it
builds (`waiting`), builds for a long time (`building`), or saves to a disk that takes nothing (`full`) or a little at a
time (`slow`).
"""

import os
import re
import signal
import sys
import threading
import time

from mmdist.runtime.processes import this_process
from mmdist.storage import EventWriter, open_store
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.snapshot import Portions
from mmdist.training.watchdog import Watchdog


def sleep_for_ever() -> None:
    time.sleep(1000)


def save(heartbeat: Heartbeat, folder: str, portions: int) -> None:
    """Writes a file that the disk takes one byte of at a time, so many; then the disk takes no more."""
    with heartbeat.doing("checkpoint"):
        pipe = os.path.join(folder, "disk")
        os.mkfifo(pipe)
        threading.Thread(target=lambda: os.open(pipe, os.O_RDONLY), daemon=True).start()
        descriptor = os.open(pipe, os.O_WRONLY)
        for _ in Portions([b"x"] * portions, heartbeat.moved):
            os.write(descriptor, b"x")
            time.sleep(0.5)
        while True:
            os.write(descriptor, b"x" * 4096)


def main() -> None:
    url, how, limit_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    run = open_store(url)
    events = EventWriter(run, 1, "worker-0.0")
    events.write("worker-started", rank=0, world_size=1, restart=0, **this_process())
    with (
        Heartbeat(run, "worker-0", hang_timeout_s=limit_s) as heartbeat,
        Watchdog(heartbeat, events),
    ):
        heartbeat.begin("build")
        if how == "waiting":
            sleep_for_ever()
        while how == "building":
            pass
        heartbeat.begin("train", epoch=1, step=0)
        for step in range(12):
            heartbeat.note(step=step)
            time.sleep(0.2)
        if how == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how == "locked":
            re.match("(a+)+b", "a" * 100)
        if how in ("full", "slow"):
            save(heartbeat, os.path.dirname(url), 1 if how == "full" else 60)
        sleep_for_ever()


if __name__ == "__main__":
    main()
