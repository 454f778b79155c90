"""Shared storage: stores, committed folders, and the events and live notes of a run."""

from mmdist.storage.cache import open_cache
from mmdist.storage.commit import (
    CommitError,
    UnfinishedError,
    commit_anew,
    commit_folder,
    is_committed,
    read_committed,
    verify_committed,
)
from mmdist.storage.events import DRIVER, Event, EventWriter, claim_attempt, claims, read_events, write_first
from mmdist.storage.live import Attend, read_live, unattended, write_live
from mmdist.storage.retry import retry_counts
from mmdist.storage.stop import request_stop, stop_requested, withdraw_stop
from mmdist.storage.store import Entry, Store, is_remote, open_store

__all__ = [
    "DRIVER",
    "Attend",
    "CommitError",
    "Entry",
    "Event",
    "EventWriter",
    "Store",
    "UnfinishedError",
    "claim_attempt",
    "claims",
    "commit_anew",
    "commit_folder",
    "is_committed",
    "is_remote",
    "open_cache",
    "open_store",
    "read_committed",
    "read_events",
    "read_live",
    "request_stop",
    "retry_counts",
    "stop_requested",
    "unattended",
    "verify_committed",
    "withdraw_stop",
    "write_first",
    "write_live",
]
