"""The hues of OpenMoji's drawings, which keep to one palette of a light, a dark and sometimes a darker shade of each.

Black and white are left out: every drawing has black lines, and white is what all of them are drawn on.

Ref: https://openmoji.org/styleguide/
"""

import re

__all__ = ["HUES", "hues"]

HUES = {
    "blue": ("92d3f5", "61b2e4", "1e50a0"),
    "brown": ("a57939", "6a462f"),
    "green": ("b1cc33", "5c9e31", "186648"),
    "grey": ("d0cfce", "9b9b9a", "3f3f3f"),
    "orange": ("f4aa41", "e27022"),
    "pink": ("ffa7c0", "e67a94"),
    "purple": ("b399c8", "8967aa"),
    "red": ("ea5a47", "d22f27", "781e32"),
    "yellow": ("fcea2b", "f1b31c"),
}

_HEX = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)


def hues(svg: str) -> list[str]:
    """Names of the hues that a drawing names, sorted; colors off the palette have none."""
    named = {each.lower() for each in _HEX.findall(svg)}
    shades = {each if len(each) == 6 else "".join(2 * digit for digit in each) for each in named}
    return [hue for hue, its in HUES.items() if not shades.isdisjoint(its)]
