"""A process that does two pieces as one of a pool does, with a rest between them, and goes wrong in the second.

It sleeps for ever (`stuck`), stops itself (`stopped`), ends by itself (`gone`), or does nothing wrong (`well`).
"""

import os
import signal
import sys
import time

from mmdist.runtime import attendance
from mmdist.runtime.processes import this_process


def sleep_for_ever() -> None:
    time.sleep(1000)


def piece(attend: attendance.Attendance, how: str) -> None:
    with attend() as moved:
        for _ in range(8):
            moved()
            time.sleep(0.2)
        if how == "gone":
            os._exit(1)
        if how == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how in ("stopped", "stuck"):
            sleep_for_ever()


def main() -> None:
    url, how, limit_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    attendance.this_worker = lambda: {**this_process(), "node_id": "this"}
    attend = attendance.Attendance(url, 1, "predict", limit_s, False)
    piece(attend, "well")
    time.sleep(min(limit_s, 2.0) + 3.0)
    piece(attend, how)


if __name__ == "__main__":
    main()
