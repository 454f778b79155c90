"""Finds the known word that is nearest to a mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest", "one_of"]


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, upper and lower case being one; None where none is alike enough.

    Args:
        word: What was written.
        known: What could have been meant.
        cutoff: Least similarity, from 0 (anything) to 1 (equal).
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: "; did you mean `epochs`?", or nothing."""
    match = nearest(word, known)
    return f"; did you mean `{match}`?" if match is not None else ""


def one_of(words: Iterable[str]) -> str:
    """Words as a choice: "`a`, `b` or `c`"."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
