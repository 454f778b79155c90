"""Turns the facts of a dataset into findings: what is wrong or odd, and what to do about it."""

from typing import Any

__all__ = ["find_problems"]

_MANY_GROUPS = 32
_SMALL_GROUP_ROWS = 32
_LARGE_GROUP_BYTES = 64 * 1024**2
_IMBALANCE = 20
_MIN_ROWS_FOR_GROUP_ADVICE = 2048
_SMALL_SHARD_BYTES = 1024**2
_MANY_SHARDS = 100
_DEFAULT_TOKENS = 100
_DEFAULT_SECONDS = 2.0
_LEAKAGE = "leakage, {other} gives the answers away; import again, split by group"
_FINE_WHERE_SHORT = "fine for short descriptions, leakage for long ones"
_SHARED = {
    ("id", False): ("{mine} shares {some} ids with {other}", _LEAKAGE),
    ("image", False): ("{mine} shares {some} pictures with {other}", _LEAKAGE),
    ("audio", False): ("{mine} shares {some} recordings with {other}", _LEAKAGE),
    ("image", True): ("of {mine}, {some} pictures nearly look like one of {other}", f"where they are one, {_LEAKAGE}"),
    # Equal texts are common where texts are short; an equal picture or id is the same example.
    ("text", False): ("{mine} shares {some} texts with {other}", _FINE_WHERE_SHORT),
    ("text", True): (
        "{mine} shares {some} texts with {other} but for case, punctuation and spacing",
        _FINE_WHERE_SHORT,
    ),
}


def find_problems(facts: dict[str, Any]) -> list[dict[str, str]]:
    """Findings, the gravest first: `{"level": "problem" | "advice", "text": ...}`."""
    problems: list[str] = []
    advice: list[str] = []
    for entry in facts["shared"]:
        rows = facts["splits"][entry["split"]]["rows"]
        (advice if entry["part"] == "text" else problems).append(_about_shared(entry, rows))
    for name, split in facts["splits"].items():
        _about_rows(name, split, problems, advice)
        _about_labels(name, split, facts["splits"].get("train"), problems, advice)
        _about_groups(name, split, advice)
    return [{"level": "problem", "text": text} for text in problems] + [
        {"level": "advice", "text": text} for text in advice
    ]


def _about_shared(entry: dict[str, Any], rows: int) -> str:
    found, meaning = _SHARED[entry["part"], entry["near"]]
    names = {"mine": entry["split"], "other": entry["with"], "some": f"{entry['rows']:,} of its {rows:,}"}
    if entry["part"] == "id":
        pairs = [pair["id"] for pair in entry["examples"]]
    else:
        sign = "~" if entry["near"] else "="
        pairs = [f"{pair['id']} {sign} {pair['with_id']}" for pair in entry["examples"]]
    more = ", ..." if entry["rows"] > len(pairs) else ""
    return f"{found.format(**names)} ({', '.join(pairs)}{more}): {meaning.format(**names)}"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


def _about_rows(name: str, split: dict[str, Any], problems: list[str], advice: list[str]) -> None:
    if split["bad_rows"]:
        share = split["bad_rows"] / split["rows"]
        problems.append(
            f"{name} has {_rows(split['bad_rows'])} ({share:.2%}) that cannot be used and would be set aside;"
            " data.max_bad_rows bears 0.1% by default"
        )
    if split["repeated"]["id"]:
        problems.append(f"{name} has {_rows(split['repeated']['id'])} with the id of an earlier one: ids name rows")
    for part, word in (("image", "picture"), ("audio", "recording")):
        if split["repeated"][part]:
            advice.append(f"{name} has {_rows(split['repeated'][part])} with the {word} of an earlier one")
    heard = split["recordings"]
    pictures = (split["pictures_looked_at"], split["pictures_decoded"], split["formats"])
    _about_files(name, "pictures", "damaged, or that nearly look alike", split["rows"], *pictures, advice)
    recordings = (heard["looked_at"], heard["decoded"], heard["formats"])
    _about_files(name, "recordings", "damaged", split["rows"], *recordings, advice)
    if heard["milliseconds"] is not None and heard["milliseconds"]["p95"] > 1000 * _DEFAULT_SECONDS:
        advice.append(
            f"recordings of {name} are long (5% have more than {heard['milliseconds']['p95'] / 1000:,.1f} s):"
            f" data.audio.seconds cuts them after {_DEFAULT_SECONDS:g} by default"
        )
    if split["tokens"] is not None and split["tokens"]["p95"] > _DEFAULT_TOKENS:
        advice.append(
            f"texts of {name} are long (5% have more than {split['tokens']['p95']:,} tokens): data.text.tokens cuts"
            f" them after {_DEFAULT_TOKENS} by default"
        )


def _about_files(
    name: str,
    kind: str,
    may_be: str,
    rows: int,
    looked_at: int,
    decoded: int,
    formats: dict[str, int],
    advice: list[str],
) -> None:
    found = sum(formats.values())
    if 0 < looked_at < rows:
        advice.append(
            f"of {name}, the {kind} of {looked_at:,} of {rows:,} rows were looked at"
            " (evenly spaced row groups): there may be more bad rows and duplicates. --all looks at all"
        )
    elif decoded < found:
        advice.append(
            f"of {name}, {decoded:,} of {found:,} {kind} were decoded: there may be more that are {may_be}."
            " --all decodes all"
        )


def _about_labels(
    name: str, split: dict[str, Any], train: dict[str, Any] | None, problems: list[str], advice: list[str]
) -> None:
    labels = split["labels"]
    if train is not None and train is not split and train["labels"]:
        unknown = sorted(set(labels) - set(train["labels"]))
        if unknown:
            problems.append(
                f"{name} has labels that are not in train, {len(unknown)} of them ({', '.join(unknown[:5])}):"
                " their rows would be bad"
            )
    if len(labels) > 1 and max(labels.values()) > _IMBALANCE * min(labels.values()):
        most, least = max(labels, key=labels.__getitem__), min(labels, key=labels.__getitem__)
        advice.append(
            f"labels of {name} are uneven: {labels[most]:,} rows of {most}, {labels[least]:,} of {least};"
            " judge by macro F1 rather than by accuracy"
        )


def _about_groups(name: str, split: dict[str, Any], advice: list[str]) -> None:
    if split["shards"] > _MANY_SHARDS and split["bytes_per_shard"]["median"] < _SMALL_SHARD_BYTES:
        advice.append(
            f"{name} has {split['shards']:,} shards of less than 1 MiB (median): each is opened by itself, which is"
            " slow on remote storage. Import again"
        )
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
