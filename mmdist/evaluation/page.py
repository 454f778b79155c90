"""Turns a report into one HTML page that stands alone: no script, no network, everything from the data escaped."""

import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mmdist.evaluation.figures import curve_svg, reliability_svg
from mmdist.evaluation.neighbours import FOUND, data_url, shown_queries

__all__ = ["render_page"]

_MOST_MATRIX_CLASSES = 50
_MOST_LISTED_CLASSES = 200
_MOST_LISTED_PAIRS = 20
_NARROWEST_INTERVAL = 0.8
_SMALL_BASELINE = 0.1
_LINK = re.compile(r"https?://[\w./%~:#?=&+-]+")
# XML's and HTML's forbidden characters, and lone surrogates, which no encoding can write.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_CARDS = (
    ("accuracy", "Accuracy", "rows whose most probable label is right"),
    ("balanced_accuracy", "Balanced accuracy", "mean recall: every class weighs the same"),
    ("macro_f1", "Macro F1", "mean F1 over the classes"),
    ("top_3_accuracy", "Top-3 accuracy", "right label among the three most probable"),
    ("log_loss", "Log loss", "lower is better"),
    ("calibration_error", "Calibration error", "lower is better; 0 means as right as it is sure"),
    ("mean_rank_error", "Mean rank error", "labels between the answer and the truth; lower is better"),
    ("quadratic_weighted_kappa", "Quadratic weighted kappa", "1 is perfect, 0 what chance gives"),
    ("micro_f1", "Micro F1", "of all labels together"),
    ("mean_average_precision", "Mean average precision", "over the labels, whatever the threshold"),
    ("jaccard", "Jaccard index", "of a row's labels: both over either, on average"),
    ("exact_match", "Exact match", "rows whose labels are all right"),
    ("mean_absolute_error", "Mean absolute error", "in the label's unit; lower is better"),
    ("root_mean_squared_error", "Root mean squared error", "in the label's unit; lower is better"),
    ("r_squared", "R\u00b2", "share of the variance that is explained"),
    ("cider", "CIDEr-D", "n-grams shared with the reference, rare ones most; from 0 to 10"),
    ("bleu_1", "BLEU-1", "words that the reference has too"),
    ("bleu_2", "BLEU-2", "and pairs of words"),
    ("bleu_3", "BLEU-3", "and three words in a row"),
    ("bleu_4", "BLEU-4", "and four words in a row"),
    ("mean_recall", "Mean recall", "mean of the six recalls"),
    ("image_to_text_recall_at_1", "Texts for a picture, recall at 1", "pictures whose nearest text is right"),
    ("image_to_text_recall_at_5", "Texts for a picture, recall at 5", "a right text among the nearest 5"),
    ("image_to_text_recall_at_10", "Texts for a picture, recall at 10", "a right text among the nearest 10"),
    ("text_to_image_recall_at_1", "Pictures for a text, recall at 1", "texts whose nearest picture is right"),
    ("text_to_image_recall_at_5", "Pictures for a text, recall at 5", "a right picture among the nearest 5"),
    ("text_to_image_recall_at_10", "Pictures for a text, recall at 10", "a right picture among the nearest 10"),
    ("image_to_text_median_rank", "Texts for a picture, median rank", "of the right text; lower is better"),
    ("text_to_image_median_rank", "Pictures for a text, median rank", "of the right picture; lower is better"),
)
_WITHOUT_END = (
    "image_to_text_median_rank",
    "text_to_image_median_rank",
    "mean_rank_error",
    "mean_absolute_error",
    "root_mean_squared_error",
)
"""Metrics that have no largest value, so that no bar can be drawn for them."""

_ENDS = {"cider": 10.0}
"""Largest values that are not 1."""

_MODALITIES = {"image": "picture", "text": "text", "audio": "recording", "tabular": "fields"}


def render_page(
    report: Mapping[str, Any], mistakes: Sequence[Mapping[str, Any]], neighbours: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The page.

    Args:
        report: As `build_report` gives it.
        mistakes: Rows of mistakes.parquet, the most confident first.
        neighbours: Rows of neighbours.parquet, where the task has them.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "interval": _interval, "percent": _percent, "link": _link}
    folder = resources.files("mmdist.evaluation")
    template = environment.from_string(folder.joinpath("report.html.j2").read_text("utf-8"))
    css = Markup(folder.joinpath("report.css").read_text("utf-8"))
    metrics = report["metrics"]
    is_one_label = metrics is not None and "confusion" in metrics
    return template.render(
        report=_clean(report),
        css=css,
        curves=_curves(report["history"]),
        names=sorted({name for point in report["history"]["epochs"] for name in point if "/" in name}),
        cards=[] if metrics is None else _cards(metrics),
        classes=_clean(_classes(metrics["per_class"])) if is_one_label else None,
        labels=[] if metrics is None or is_one_label else _clean(metrics.get("per_class", [])),
        matrix=_clean(_matrix(metrics)) if is_one_label else None,
        pairs=_clean(metrics["confusion"]["pairs"][:_MOST_LISTED_PAIRS]) if is_one_label else [],
        is_perfect=metrics is not None and _is_perfect(metrics),
        ablation=[] if metrics is None else _ablation(metrics),
        reliability=Markup(reliability_svg(metrics["calibration"])) if is_one_label else None,
        mistakes=[_clean({**mistake, "image": data_url(mistake["image"])}) for mistake in mistakes],
        neighbours=_neighbours(environment, metrics, neighbours),
    )


def _neighbours(
    environment: Environment, metrics: Mapping[str, Any] | None, records: Sequence[Mapping[str, Any]]
) -> Markup | None:
    """The section about what a retrieval finds."""
    if metrics is None or not records:
        return None
    folder = resources.files("mmdist.evaluation")
    template = environment.from_string(folder.joinpath("neighbours.html.j2").read_text("utf-8"))
    rows = f"{metrics['rows']:,}"
    return Markup(template.render(ways=_clean(shown_queries(records)), first=FOUND, rows=rows))


def _curves(history: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = dict.fromkeys(name.partition("/")[2] for point in history["epochs"] for name in point if "/" in name)
    curves = []
    for metric in names:
        svg = curve_svg(history["epochs"], metric, history["chosen"])
        if svg is not None:
            curves.append({"name": metric.replace("_", " ").capitalize(), "svg": Markup(svg)})
    return curves


def _cards(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    cards = []
    for key, name, note in _CARDS:
        if key not in metrics["headline"]:
            continue
        facts = metrics["headline"][key]
        # Log loss has no upper end: uniform guessing is drawn as the track's end.
        end = math.log(metrics["classes"]) if key == "log_loss" else _end(key)
        if key == "log_loss":
            note = f"{note}; guessing evenly gives {end:.2f}"
        # A judge gives the baseline of the main metric, or those of several by name.
        plain = metrics["baseline"]
        baseline, answer, tick = plain.get("headline", {}).get(key), "", 0.0
        if key == metrics.get("main", "accuracy"):
            baseline = plain.get("value", plain.get("accuracy"))
        if baseline is not None:
            answer = plain.get("answer", "always the commonest label")
            tick = 100 * baseline / end if end else 0.0
        track = _track(facts, end)
        digits = 0 if key.endswith("_rank") else 2
        shown = {
            "track": track,
            "baseline": baseline,
            "answer": answer,
            "tick": round(min(tick, 100.0), 2),
            "digits": digits,
            "baseline_digits": 3
            if digits and plain.get("headline") and (baseline or 0.0) < _SMALL_BASELINE
            else digits,
        }
        cards.append({"name": name, "note": note, **facts, **shown})
    return sorted(cards, key=lambda card: card["baseline"] is None)


def _end(metric: str) -> float:
    """The value at the end of a metric's bar; 0 for none."""
    return 0.0 if metric in _WITHOUT_END else _ENDS.get(metric, 1.0)


def _is_perfect(metrics: Mapping[str, Any]) -> bool:
    main = metrics.get("main", "accuracy")
    return bool(metrics["headline"][main]["value"] == _end(main))


def _track(facts: Mapping[str, Any], end: float) -> dict[str, str] | None:
    """Where the value and its interval lie on a bar, in percent of its length."""
    if any(facts[key] is None for key in ("value", "low", "high")) or end <= 0:
        return None
    low, value, high = (min(100.0, 100.0 * facts[key] / end) for key in ("low", "value", "high"))
    width = max(high - low, _NARROWEST_INTERVAL)
    return {"left": f"{min(low, 100.0 - width):.2f}", "width": f"{width:.2f}", "value": f"{value:.2f}"}


def _classes(per_class: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The classes, the best F1 first and those without rows last; of very many, the weakest."""
    ordered = sorted(per_class, key=lambda entry: -1.0 if entry["f1"]["value"] is None else entry["f1"]["value"])
    known = [entry for entry in ordered if entry["f1"]["value"] is not None]
    unknown = [entry for entry in ordered if entry["f1"]["value"] is None]
    shown = known[:_MOST_LISTED_CLASSES]
    rows = [
        {**entry, "recall_track": _track(entry["recall"], 1.0), "f1_track": _track(entry["f1"], 1.0)}
        for entry in [*reversed(shown), *unknown[: _MOST_LISTED_CLASSES - len(shown)]]
    ]
    return {"rows": rows, "total": len(per_class)}


def _matrix(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    counts = metrics["confusion"]["counts"]
    if counts is None or len(counts) > _MOST_MATRIX_CLASSES:
        return None
    labels = [entry["label"] for entry in metrics["per_class"]]
    rows = []
    for truth, row in enumerate(counts):
        total = sum(row)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "shade": _shade(count / total) if total else "0",
                "is_strong": bool(total) and count / total > 0.5,
                "is_right": truth == predicted,
                "predicted": labels[predicted],
            }
            for predicted, count in enumerate(row)
        ]
        rows.append({"label": labels[truth], "total": total, "cells": cells})
    size = "small" if len(counts) > 24 else "medium" if len(counts) > 12 else "large"
    return {"labels": labels, "rows": rows, "size": size}


def _shade(share: float) -> str:
    """Percent of the hue in a cell. It leaps at one half, where the text's colour turns: in between, no text is
    readable.
    """
    return f"{6 + 84 * share:.0f}" if share <= 0.5 else f"{78 + 44 * (share - 0.5):.0f}"


def _ablation(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One bar for the model as it is and one for each modality that it is not shown."""
    if not metrics["ablation"]:
        return []
    names = [_MODALITIES.get(entry["withheld"], entry["withheld"]) for entry in metrics["ablation"]]
    all_names = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    main = metrics.get("main", "accuracy")
    end = _end(main)
    whole = metrics["headline"][main]
    bars = [{"name": all_names.capitalize(), "accuracy": whole, "track": _track(whole, end), "difference": None}]
    for name, entry in zip(names, metrics["ablation"], strict=True):
        accuracy = entry["headline"][main]
        bars.append(
            {
                "name": f"This model with the {name} withheld",
                "accuracy": accuracy,
                "track": _track(accuracy, end),
                "difference": entry.get("difference", entry.get("accuracy_difference")),
            }
        )
    return bars


def _clean(value: Any) -> Any:
    """The same, its texts free of characters that a page must not hold, keys and all."""
    if isinstance(value, str):
        return _FORBIDDEN.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value


def _number(value: float | None, digits: int = 2) -> str:
    if value is None:
        return "\u2013"
    text = f"{value:,.{digits}f}"
    return text.replace("-", "\u2212")


def _interval(facts: Mapping[str, Any], digits: int = 2) -> str:
    if facts["low"] is None or facts["high"] is None:
        return ""
    return f"[{_number(facts['low'], digits)}, {_number(facts['high'], digits)}]"


def _percent(value: float | None) -> str:
    return "\u2013" if value is None else f"{100 * value:.0f}%"


def _link(text: str) -> Any:
    """A web address as a link; any other text as it stands."""
    if not _LINK.fullmatch(text):
        return text
    return Markup('<a href="{0}" rel="noreferrer noopener">{0}</a>').format(text)
