"""A process that tells of itself as a worker does, and then does nothing more: `stuck`, `silent` (stops itself)."""

import os
import signal
import sys
import time

from mmdist.runtime.processes import this_process
from mmdist.storage import EventWriter, open_store
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.watchdog import Watchdog


def sleep_for_ever() -> None:
    time.sleep(1000)


def main() -> None:
    url, how, limit_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    run = open_store(url)
    events = EventWriter(run, 1, "worker-0.0")
    events.write("worker-started", rank=0, world_size=1, restart=0, **this_process())
    identity = {"pid": os.getpid()}
    with (
        Heartbeat(run, "worker-0", identity=identity, hang_timeout_s=limit_s) as heartbeat,
        Watchdog(heartbeat, events, hang_timeout_s=limit_s),
    ):
        heartbeat.begin("train", epoch=1, step=0)
        for step in range(12):
            heartbeat.note(step=step)
            time.sleep(0.2)
        if how == "silent":
            os.kill(os.getpid(), signal.SIGSTOP)
        sleep_for_ever()


if __name__ == "__main__":
    main()
