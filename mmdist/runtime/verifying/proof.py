"""What was proven and what was not: the checks of one `mmdist verify`, as JSON and as a page. No I/O."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Check", "Proof"]

WIDTH = 100
INDENT = "   "


@dataclass
class Check:
    """One claim, and what speaks for or against it."""

    name: str
    """`replicas`, `resume` or `ledger`."""
    claim: str
    tolerance: str
    facts: dict[str, Any] = field(default_factory=dict)
    """Counts and measured differences."""
    found: list[str] = field(default_factory=list)
    """What was found, for people."""
    causes: list[str] = field(default_factory=list)
    """Why it failed; empty where it is proven."""
    controls: list[str] = field(default_factory=list)
    """Planted faults that were caught."""

    @property
    def passed(self) -> bool:
        """Whether the claim is proven."""
        return not self.causes

    def fail(self, cause: str) -> None:
        """Adds a cause, once."""
        if cause not in self.causes:
            self.causes.append(cause)

    def add_controls(self, controls: Mapping[str, bool]) -> None:
        """Planted faults by name: one that was not seen makes the check worthless."""
        if not controls:
            self.fail("no fault was planted: the comparison itself is unproven")
        for name, was_seen in controls.items():
            if not was_seen:
                self.fail(f"the comparison is blind: it did not see a planted fault ({name})")
            elif name not in self.controls:
                self.controls.append(name)


@dataclass(frozen=True)
class Proof:
    """The result of one `mmdist verify`."""

    job: str
    device: str
    checks: tuple[Check, ...]
    not_proven: tuple[str, ...]
    changes: tuple[str, ...]
    """What is not as in the job."""
    rows: int
    of_rows: int
    steps: int
    """Training steps over all processes."""
    seconds: float
    seconds_by_part: dict[str, float]
    kept: str | None
    """Folder with what was written, where it was asked for."""

    @property
    def passed(self) -> bool:
        """Whether every claim is proven."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def causes(self) -> list[str]:
        """Of all checks."""
        return [cause for check in self.checks for cause in check.causes]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        checks = [{**asdict(check), "facts": _finite(check.facts), "passed": check.passed} for check in self.checks]
        return {"proven": self.passed, **asdict(self), "checks": checks}

    def page(self) -> str:
        """One page for a terminal."""
        verdict = "PROVEN" if self.passed else "NOT PROVEN"
        lines = [
            f"{verdict}: {self.job}, on {self.rows} of its {self.of_rows} training rows, {self.steps} steps, "
            f"{self.device}, {self.seconds:.0f} s",
            "",
        ]
        for number, check in enumerate(self.checks, 1):
            lines.append(f"{number}. {'proven' if check.passed else 'FAILED'}: {check.claim}")
            lines += _wrapped("tolerance: ", check.tolerance)
            for cause in check.causes:
                lines += _wrapped("cause: ", cause)
            for fact in check.found:
                lines += _wrapped("- ", fact)
            if check.controls:
                lines += _wrapped("planted and caught: ", "; ".join(check.controls))
            lines.append("")
        lines += _wrapped("Shrunk for this: ", "; ".join(self.changes), indent="")
        lines += _wrapped("Not proven here: ", "; ".join(self.not_proven), indent="")
        if self.kept is not None:
            lines.append(f"Kept: {self.kept}")
        return "\n".join(lines)


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that JSON can hold: what is not a number becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts.items()
    }


def _wrapped(head: str, text: str, indent: str = INDENT) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent + head, subsequent_indent=indent + "  ")
