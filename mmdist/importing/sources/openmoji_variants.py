"""Which emoji are variants of one another, so that a split never trains on one and tests on its twin.

Two emoji share a group when they differ only in

- gender (man, woman, person: in the code points, by the signs for male and female, or as pairs of characters
  that Unicode encoded one by one, such as prince, princess and person with crown),
- skin tone, hair or the direction that somebody faces,
- the members of a family, a couple or a pair holding hands,
- the direction or colour that their name tells (left-facing fist; green heart), the hour of a clock face,
  the phase of the moon, or the digit of a keycap.

Judged by code points first, since names are irregular (`PEDESTRIAN`, `MAN WALKING`), then by the base emoji's name.
"""

import re
from collections.abc import Mapping

__all__ = ["Variants"]

JOINER = "200D"
# Variation selector, skin tones, and what follows a joiner: the signs for female and male, the arrow to the right.
SELECTOR = "FE0F"
SKIN_TONES = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
MODIFIERS = {"2640", "2642", "27A1"}

PERSON, CHILD = "1F9D1", "1F9D2"
FAMILY, KISS, COUPLE, HOLDING_HANDS = "1F46A", "1F48F", "1F491", "1F46B"
ADULTS = {"1F468", "1F469", PERSON}
CHILDREN = {"1F466", "1F467", CHILD}

# Genders of one emoji that Unicode encoded one by one, and hair, by the emoji that stands for them.
GENDERS = {
    **dict.fromkeys(("1F468", "1F469", "1F9D4", "1F471"), PERSON),
    **dict.fromkeys(("1F466", "1F467"), CHILD),
    **dict.fromkeys(("1F474", "1F475"), "1F9D3"),
    **dict.fromkeys(("1F934", "1F478"), "1FAC5"),
    **dict.fromkeys(("1F385", "1F936"), f"{PERSON}-1F384"),
    **dict.fromkeys(("1F930", "1FAC3"), "1FAC4"),
    **dict.fromkeys(("1F46C", "1F46D"), HOLDING_HANDS),
    **dict.fromkeys((f"{PERSON}-1F9B0", f"{PERSON}-1F9B1", f"{PERSON}-1F9B2", f"{PERSON}-1F9B3"), PERSON),
    "1F57A": "1F483",
    "1F931": f"{PERSON}-1F37C",
}

# Words of a name that only tell a direction or a colour.
IGNORED = {
    *("left", "right", "up", "down", "leftwards", "rightwards", "upwards", "downwards"),
    *("left-facing", "right-facing", "left-pointing", "right-pointing", "up-pointing", "down-pointing"),
    *("north", "south", "east", "west", "clockwise", "anticlockwise"),
    *("black", "white", "red", "orange", "yellow", "green", "blue", "purple", "brown", "pink", "grey", "light"),
}

SERIES = (
    (re.compile(r"^clock face "), "clock face"),
    (re.compile(r" moon symbol$| quarter moon with face$|^(new|full) moon with face$"), "moon"),
    (re.compile(r"^keycap|^hash key$"), "keycap"),
)


class Variants:
    """Finds an emoji's group among the names of all emoji, given by code points (`1F468-200D-1F393`)."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {_plain(unified): name for unified, name in names.items()}

    def group(self, unified: str) -> str:
        """The group: words that name the emoji without what varies; its code points where it has no such words."""
        base = _base(unified)
        name = self._names.get(base)
        if name is None:
            return base.lower()
        name = name.lower()
        for pattern, group in SERIES:
            if pattern.search(name):
                return group
        return " ".join(word for word in name.split() if word not in IGNORED) or name


def _points(unified: str) -> list[str]:
    return [point for point in unified.split("-") if point != SELECTOR and point not in SKIN_TONES]


def _plain(unified: str) -> str:
    return "-".join(point for point in _points(unified) if point != JOINER)


def _base(unified: str) -> str:
    points = _points(unified)
    if JOINER in points:
        points = [point for point in points if point != JOINER and point not in MODIFIERS]
    people = [point for point in points if point in ADULTS | CHILDREN]
    if len(people) > 1:
        if "1F48B" in points:
            return KISS
        if "2764" in points:
            return COUPLE
        return HOLDING_HANDS if "1F91D" in points else FAMILY
    points = [PERSON if point in ADULTS else point for point in points]
    base = "-".join(points)
    return GENDERS.get(base, base)
