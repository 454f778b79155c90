"""One HTML page with a dataset's facts, findings and a sheet of its rows. No script, no network, all data escaped."""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from PIL import Image

from mmdist.data.inspection import Inspection, Sample

__all__ = ["render_contact_sheet"]

_SHOWN_CHARACTERS = 200
_SHOWN_LABELS = 60
_NAMES = {
    ("id", False): "the same id",
    ("image", False): "the same picture",
    ("image", True): "nearly the same picture",
    ("audio", False): "the same recording",
    ("text", False): "the same text",
    ("text", True): "nearly the same text",
}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render_contact_sheet(inspection: Inspection) -> str:
    """The page, with pictures as data URLs."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        resources.files("mmdist.data").joinpath("contact_sheet.html.j2").read_text("utf-8")
    )
    facts = inspection.facts
    return template.render(
        path=_clean(facts["path"]),
        facts=_clean(facts),
        labels=_label_rows(facts["splits"]),
        bins=_bin_rows(facts["splits"]),
        shared=_shared(inspection),
        sheets={
            name: _by_label([sample for sample in inspection.samples if sample.split == name])
            for name in facts["splits"]
        },
    )


def _by_label(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Consecutive samples of one label, each label with its cells."""
    return [
        {"label": _clean(label), "cells": [_cell(sample) for sample in group]}
        for label, group in groupby(samples, key=lambda sample: sample.label)
    ]


def _shared(inspection: Inspection) -> list[dict[str, Any]]:
    """What two splits share, each with a few pairs of rows."""
    return [
        {
            "title": f"{match.split} and {match.other}: {_NAMES[match.part, match.is_near]}",
            "rows": match.rows,
            "pairs": [
                {"cells": [_cell(mine), _cell(theirs)], "splits": [match.split, match.other]}
                for found, mine, theirs in inspection.matches
                if found is match
            ],
        }
        for match in dict.fromkeys(found for found, _, _ in inspection.matches)
    ]


def _bin_rows(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By title, the bins of the pictures' longer sides and of the recordings' lengths."""
    sides = {name: {entry["most_px"]: entry["rows"] for entry in split["sides"]} for name, split in splits.items()}
    lengths = {
        name: {entry["most_s"] or math.inf: entry["rows"] for entry in split["recordings"]["lengths"]}
        for name, split in splits.items()
    }
    return {
        "Longer side of the pictures": _bars(sides, "pixels"),
        "Length of the recordings": _bars(lengths, "seconds"),
    }


def _bars(counts: Mapping[str, Mapping[float, int]], unit: str) -> list[dict[str, Any]]:
    """Bins up to some value, with each split's rows and the length of the bin's bar, 0 to 100."""
    bins = sorted({most for found in counts.values() for most in found})
    totals = {most: sum(found.get(most, 0) for found in counts.values()) for most in bins}
    return [
        {
            "label": "more" if most == math.inf else f"up to {most:,} {unit}",
            "bar": round(100 * totals[most] / max(totals.values()), 1),
            "rows": [found.get(most, 0) for found in counts.values()],
        }
        for most in bins
    ]


def _label_rows(splits: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The most frequent labels, with each split's rows and the length of its bar, 0 to 100."""
    totals: dict[str, int] = {}
    for split in splits.values():
        for label, rows in split["labels"].items():
            totals[label] = totals.get(label, 0) + rows
    largest = max(totals.values(), default=1)
    shown = sorted(totals, key=lambda label: (-totals[label], label))[:_SHOWN_LABELS]
    return [
        {
            "label": _clean(label),
            "bar": round(100 * totals[label] / largest, 1),
            "rows": [split["labels"].get(label, 0) for split in splits.values()],
        }
        for label in shown
    ]


def _cell(sample: Sample) -> dict[str, Any]:
    text = sample.text if sample.text is None or len(sample.text) <= _SHOWN_CHARACTERS else None
    if sample.text is not None and text is None:
        text = sample.text[:_SHOWN_CHARACTERS] + "…"
    return {
        "id": _clean(sample.id),
        "text": _clean(text),
        "label": _clean(sample.label),
        "pictures": [_data_url(shown) for shown in (sample.picture, sample.sound) if shown is not None],
    }


def _data_url(picture: npt.NDArray[np.uint8]) -> str:
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(sink.getvalue()).decode()


def _clean(value: Any) -> Any:
    """Without the characters that HTML cannot hold."""
    if isinstance(value, str):
        return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_clean(item) for item in value]
    return value
