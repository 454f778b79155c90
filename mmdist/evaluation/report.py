"""Renders a run's report from what the run recorded. It needs neither the data nor TensorFlow."""

import json
from typing import Any

import pyarrow as pa

from mmdist.data.schema_guard import open_parquet
from mmdist.errors import DataRefusedError, Place, StorageError, words_of
from mmdist.evaluation.page import render_page
from mmdist.evaluation.paths import EVALUATION, MISTAKES, NEIGHBOURS, REPORT_HTML, REPORT_JSON
from mmdist.evaluation.record import build_report
from mmdist.storage import Store

__all__ = ["render_report"]


def render_report(run: Store) -> dict[str, Any]:
    """Writes report/report.json and report/report.html, or replaces them.

    Returns:
        The content of report.json.

    Raises:
        UsageError: where the run has recorded neither an evaluation nor a curve.
        StorageError: where storage fails, or the recorded mistakes cannot be read.
    """
    report = build_report(run)
    is_evaluated = report["evaluation"] is not None
    mistakes = _read_rows(run, MISTAKES, "mistakes") if is_evaluated else []
    has_neighbours = is_evaluated and report["metrics"].get("task") == "retrieval"
    page = render_page(report, mistakes, _read_rows(run, NEIGHBOURS, "neighbours") if has_neighbours else [])
    run.write_bytes(REPORT_JSON, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
    run.write_bytes(REPORT_HTML, page.encode())
    return report


def _read_rows(run: Store, path: str, what: str) -> list[dict[str, Any]]:
    place = Place(file=f"{run.url}/{path}")
    remedy = f"{EVALUATION} is written after it: evaluate the run again with a job of kind evaluate"
    if not run.exists(path):
        raise StorageError(f"the recorded {what} are missing", place=place, remedy=remedy)
    try:
        with open_parquet(run, path) as table:
            rows: list[dict[str, Any]] = table.read().to_pylist()
    except (OSError, ValueError, pa.ArrowException, DataRefusedError) as error:
        raise StorageError(
            f"the recorded {what} cannot be read",
            received=getattr(error, "message", None) or words_of(error),
            place=place,
            remedy=remedy,
        ) from error
    return rows
