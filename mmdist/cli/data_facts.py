"""The facts of a dataset as lines for people."""

import textwrap
from collections.abc import Iterator
from typing import Any

__all__ = ["fact_lines"]

_SHOWN_LABELS = 12
_SHOWN_BAD_ROWS = 3
_INDENT = 14


def fact_lines(facts: dict[str, Any], width: int | None) -> Iterator[str]:
    """What was found, split by split, and the findings.

    Args:
        facts: Of `inspect_dataset`.
        width: Columns of the terminal; None for lines as long as they are.
    """
    yield f"{facts['path']}: {facts['rows']:,} rows"
    for name, split in facts["splits"].items():
        yield f"{name}"
        for title, text in _split_lines(split):
            yield from _wrapped(f"  {title:<{_INDENT - 3}} {text}", width, _INDENT)
    for finding in facts["findings"]:
        yield from _wrapped(f"{finding['level']}: {finding['text']}", width, 2)
    if not facts["findings"]:
        yield "nothing stands out"


def _wrapped(line: str, width: int | None, indent: int) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(line, max(width, 2 * _INDENT), subsequent_indent=" " * indent, break_on_hyphens=False)


def _split_lines(split: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "rows", f"{split['rows']:,}, {_size(split['bytes'])}"
    shard, groups, group_bytes = split["bytes_per_shard"], split["rows_per_group"], split["bytes_per_group"]
    yield "shards", f"{split['shards']:,} of {_range(_size(shard['least']), _size(shard['most']))}"
    yield (
        "row groups",
        f"{split['row_groups']:,} of {_range(groups['least'], groups['most'])} rows,"
        f" up to {_size(group_bytes['most'])}",
    )
    if split["labels"]:
        labels = sorted(split["labels"].items(), key=lambda entry: (-entry[1], entry[0]))
        rest = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
        shown = ", ".join(f"{label} {rows:,}" for label, rows in labels[:_SHOWN_LABELS])
        yield "labels", f"{len(labels)}: {shown}{rest}"
    if split["pictures_looked_at"]:
        formats = ", ".join(f"{rows:,} {kind}" for kind, rows in split["formats"].items())
        yield "pictures", f"{formats or 'none'}; {split['pictures_decoded']:,} decoded to check them"
    if split["heights"]:
        high, wide = split["heights"], split["widths"]
        yield (
            "sizes",
            f"height {_range(high['least'], high['most'])}, width {_range(wide['least'], wide['most'])} pixels",
        )
        if len(split["sides"]) > 1:
            sides = ", ".join(f"{entry['rows']:,} up to {entry['most_px']:,}" for entry in split["sides"]) + " pixels"
            yield "longer side", sides
    yield from _recording_lines(split["recordings"])
    if split["tokens"]:
        tokens = split["tokens"]
        yield "tokens", f"median {tokens['median']}, 95% up to {tokens['p95']}, most {tokens['most']} per text"
    absent = ", ".join(f"{rows:,} without {part}" for part, rows in split["nulls"].items() if rows)
    if absent:
        yield "absent", absent
    if split["bad_rows"]:
        yield "bad rows", f"{split['bad_rows']:,}{', for instance' if split['bad_rows'] > _SHOWN_BAD_ROWS else ''}"
        for row in split["bad_rows_shown"][:_SHOWN_BAD_ROWS]:
            yield "", f"{row['shard']}#{row['row']} {row['column']}: {row['reason']}"


def _recording_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not found["looked_at"]:
        return
    formats = ", ".join(f"{rows:,} {kind}" for kind, rows in found["formats"].items())
    yield "recordings", f"{formats or 'none'}; {found['decoded']:,} decoded to check them"
    length = found["milliseconds"]
    if length is None:
        return
    rates = [f"{rows:,} at {int(rate):,} Hz" for rate, rows in found["sample_rates"].items()]
    channels = [f"{rows:,} of {count} channel{'s' * (count != '1')}" for count, rows in found["channels"].items()]
    yield "rates", f"{', '.join(rates)}; {', '.join(channels)}"
    bins = [
        f"{entry['rows']:,} up to {entry['most_s']:g} s" for entry in found["lengths"] if entry["most_s"] is not None
    ]
    bins += [f"{entry['rows']:,} longer" for entry in found["lengths"] if entry["most_s"] is None]
    median, high, most = (f"{length[name] / 1000:g}" for name in ("median", "p95", "most"))
    yield "lengths", f"median {median} s, 95% up to {high} s, most {most} s; {', '.join(bins)}"


def _range(least: int | str, most: int | str) -> str:
    least, most = (value if isinstance(value, str) else f"{value:,}" for value in (least, most))
    return least if least == most else f"{least} to {most}"


def _size(count: int) -> str:
    """Bytes in the largest unit that keeps a digit before the point."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"
