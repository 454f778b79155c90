"""Turns a matplotlib figure into SVG that lives inside a page: its colours are CSS variables, its ids its own."""

import io
import re
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl

__all__ = ["COLORS", "inline_svg", "settings"]

# Drawn with these, which nothing else has, and replaced by the page's variables: one drawing, light and dark.
COLORS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "first": "#040404",
    "second": "#050505",
    "surface": "#060606",
}
_VARIABLES = {value: f"var(--{name})" for name, value in COLORS.items()}
_COLOR = re.compile(r"#0[1-6]0[1-6]0[1-6]\b")
_FONT = re.compile(r"font: (?:[a-z]+ |\d+ )*([\d.]+)px [^;]*")
_REFERENCE = re.compile(r"#([\w-]+)")
_XLINK = "{http://www.w3.org/1999/xlink}href"
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mmdist",
    "font.size": 10.5,
    "axes.edgecolor": COLORS["muted"],
    "axes.labelcolor": COLORS["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLORS["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": COLORS["muted"],
    "ytick.color": COLORS["muted"],
    "text.color": COLORS["ink"],
    "text.parse_math": False,
    "legend.frameon": False,
}


def settings() -> Any:
    """A context in which figures are drawn in the page's style, whatever the user's own settings are."""
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name}
    return mpl.rc_context(defaults | _SETTINGS)


def inline_svg(figure: Any, *, name: str, description: str, titles: dict[str, str] | None = None) -> str:
    """The figure as an `<svg>` element for HTML; equal figures give equal text.

    Args:
        figure: A matplotlib figure, drawn within `settings()`.
        name: Prefix of its ids, unique in the page.
        description: What the picture shows, for those who cannot see it.
        titles: By the gid of an artist, the text shown while the pointer rests on it.
    """
    data = io.BytesIO()
    figure.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(data.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        title = (titles or {}).get(element.get("id", ""))
        _rewrite(element, name)
        if title is not None:
            note = ElementTree.Element("title")
            note.text = title
            element.insert(0, note)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", description)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, name: str) -> None:
    target = element.attrib.pop(_XLINK, None)
    if target is not None:
        element.set("href", _REFERENCE.sub(rf"#{name}-\1", target))
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id']}")
    if "clip-path" in element.attrib:
        element.set("clip-path", _REFERENCE.sub(rf"#{name}-\1", element.attrib["clip-path"]))
    if "style" in element.attrib:
        style = _COLOR.sub(lambda match: _VARIABLES.get(match.group(), match.group()), element.attrib["style"])
        element.set("style", _FONT.sub(r"font-size: \1px; font-family: inherit", style))
