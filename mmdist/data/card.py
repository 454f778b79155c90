"""A dataset's card, dataset.json: what importing wrote about all its splits, under a marker with its hash."""

import hashlib
import json
import os
from typing import Any

from mmdist.errors import DataRefusedError, Place
from mmdist.storage import Store, is_remote, open_store
from mmdist.storage.commit import COMMITTED

__all__ = ["CARD_FILE", "check_split", "read_card"]

CARD_FILE = "dataset.json"


def read_card(url: str) -> dict[str, Any] | None:
    """The card of the dataset that a split belongs to; None where there is none, or an import has not finished it.

    Args:
        url: The split's folder.

    Raises:
        DataRefusedError: when the card does not agree with its marker.
    """
    parent = url.rstrip("/").rpartition("/")[0] if is_remote(url) else os.path.dirname(open_store(url).root)
    folder = open_store(parent)
    try:
        data = folder.read_bytes(CARD_FILE)
        marker = folder.read_bytes(COMMITTED).decode(errors="replace").strip()
    except FileNotFoundError:
        return None
    if marker != hashlib.sha256(data).hexdigest():
        raise DataRefusedError(
            "the dataset's card does not agree with its marker",
            place=Place(file=f"{folder.url}/{CARD_FILE}"),
            remedy="run the import again",
        )
    card = json.loads(data)
    return card if isinstance(card, dict) else None


def check_split(store: Store, card: dict[str, Any] | None, fingerprint: str) -> None:
    """Refuses a split that the card beside it describes otherwise: one that was replaced as a whole, index and all.

    Args:
        store: The split's folder.
        card: The card; without one there is nothing to check.
        fingerprint: The split's.

    Raises:
        DataRefusedError: when they differ.
    """
    split = store.url.rpartition("/")[2]
    facts = (card or {}).get("splits", {}).get(split)
    if facts is not None and facts["fingerprint"] != fingerprint:
        raise DataRefusedError(
            "the split is not the one that the dataset's card describes",
            expected=f"fingerprint {facts['fingerprint'][:16]}...",
            received=f"fingerprint {fingerprint[:16]}...",
            place=Place(file=store.url),
            remedy="bring the split back from a copy, or run the import again",
        )
