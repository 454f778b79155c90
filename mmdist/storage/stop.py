"""The request that a run stop: a file that anybody may write, and that its driver and workers look for."""

import json
import time

from mmdist.storage.store import Store

__all__ = ["request_stop", "stop_requested", "withdraw_stop"]

REQUEST = "stop/request.json"


def request_stop(run: Store, reason: str) -> None:
    """Asks the run's driver and workers to keep what is done and end."""
    run.write_if_absent(REQUEST, json.dumps({"reason": reason, "time": time.time()}).encode())


def stop_requested(run: Store) -> bool:
    """Whether somebody asked this run to stop."""
    return run.exists(REQUEST)


def withdraw_stop(run: Store) -> None:
    """Forgets a stop that was asked of an earlier attempt."""
    run.delete_file(REQUEST)
