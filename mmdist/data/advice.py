"""Turns the facts of a dataset into findings: what is wrong or odd, and what to do about it."""

from typing import Any

__all__ = ["find_problems"]

_MANY_GROUPS = 32
_SMALL_GROUP_ROWS = 32
_LARGE_GROUP_BYTES = 64 * 1024**2
_IMBALANCE = 20
_MIN_ROWS_FOR_GROUP_ADVICE = 2048
_PARTS = {"id": "id", "image": "picture", "text": "text"}


def find_problems(facts: dict[str, Any]) -> list[dict[str, str]]:
    """Findings, the gravest first: `{"level": "problem" | "advice", "text": ...}`."""
    problems: list[str] = []
    advice: list[str] = []
    for entry in facts["shared"]:
        part, rows = _PARTS[entry["part"]], entry["rows"]
        text = f"{rows:,} rows of {entry['split']} have a {part} that {entry['with']} has too"
        # Equal texts are common where texts are short; an equal picture or id is the same example.
        if entry["part"] == "text":
            advice.append(f"{text}: fine for short descriptions, leakage for long ones")
        else:
            problems.append(f"{text}: leakage; the measured accuracy would be too good. Split by group")
    for name, split in facts["splits"].items():
        _about_rows(name, split, problems, advice)
        _about_labels(name, split, facts["splits"].get("train"), problems, advice)
        _about_groups(name, split, advice)
    return [{"level": "problem", "text": text} for text in problems] + [
        {"level": "advice", "text": text} for text in advice
    ]


def _about_rows(name: str, split: dict[str, Any], problems: list[str], advice: list[str]) -> None:
    if split["bad_rows"]:
        share = split["bad_rows"] / split["rows"]
        problems.append(
            f"{split['bad_rows']:,} rows of {name} ({share:.2%}) are bad and would be set aside;"
            " data.max_bad_rows bears 0.1% by default"
        )
    if split["repeated"]["id"]:
        problems.append(f"{split['repeated']['id']:,} rows of {name} have an id that another row has: ids name rows")
    if split["repeated"]["image"]:
        advice.append(f"{split['repeated']['image']:,} rows of {name} repeat a picture of the same split")
    if 0 < split["pictures_looked_at"] < split["rows"]:
        advice.append(
            f"of {name}, the pictures of {split['pictures_looked_at']:,} of {split['rows']:,} rows were looked at"
            " (evenly spaced row groups): there may be more bad rows and duplicates"
        )


def _about_labels(
    name: str, split: dict[str, Any], train: dict[str, Any] | None, problems: list[str], advice: list[str]
) -> None:
    labels = split["labels"]
    if train is not None and train is not split and train["labels"]:
        unknown = sorted(set(labels) - set(train["labels"]))
        if unknown:
            problems.append(
                f"{len(unknown)} labels of {name} are not in train ({', '.join(unknown[:5])}): their rows would be bad"
            )
    if len(labels) > 1 and max(labels.values()) > _IMBALANCE * min(labels.values()):
        most, least = max(labels, key=labels.__getitem__), min(labels, key=labels.__getitem__)
        advice.append(
            f"labels of {name} are uneven: {labels[most]:,} rows of {most}, {labels[least]:,} of {least};"
            " judge by macro F1 rather than by accuracy"
        )


def _about_groups(name: str, split: dict[str, Any], advice: list[str]) -> None:
    rows, largest = split["rows_per_group"]["median"], split["bytes_per_group"]["most"]
    if split["rows"] < _MIN_ROWS_FOR_GROUP_ADVICE:
        return
    if rows < _SMALL_GROUP_ROWS:
        advice.append(f"row groups of {name} are small (median {rows} rows): reading is slower than it could be")
    if largest > _LARGE_GROUP_BYTES:
        held = 2 * _MANY_GROUPS * largest / 1024**3
        advice.append(
            f"row groups of {name} are large (up to {largest / 1024**2:.0f} MiB): {_MANY_GROUPS} lanes hold two each,"
            f" {held:.1f} GiB. Import again with import.rows_per_group, or use fewer data.order.lanes"
        )
    if split["row_groups"] < _MANY_GROUPS:
        advice.append(
            f"{name} has {split['row_groups']} row groups for {_MANY_GROUPS} lanes: several lanes read the same one,"
            " and rows mix less. Import again with a smaller import.rows_per_group"
        )
