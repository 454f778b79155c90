"""The demo's source, on the real packages: the counts that are promised, and variants that share a group."""

import io
from collections import Counter
from importlib import metadata

import pytest
from PIL import Image

from mmdist.errors import ResourceError
from mmdist.importing.sources import RowKey, open_source
from mmdist.importing.sources.openmoji_colors import HUES, hues
from mmdist.importing.splits import split_of
from mmdist.spec.importing import OpenMojiSourceSpec, ShareSplitsSpec


@pytest.fixture(scope="module")
def keys() -> dict[str, RowKey]:
    return {key.ref[1]: key for key in open_source(OpenMojiSourceSpec()).plan(1).keys}


def test_counts_by_group() -> None:
    listed = open_source(OpenMojiSourceSpec()).plan(1).keys
    assert len({key.id for key in listed}) == len(listed) == 1629
    assert Counter(key.values["label"] for key in listed) == {
        "People & Body": 385,
        "Objects": 262,
        "Symbols": 223,
        "Travel & Places": 218,
        "Smileys & Emotion": 168,
        "Animals & Nature": 153,
        "Food & Drink": 135,
        "Activities": 85,
    }


@pytest.mark.parametrize(
    "names",
    [
        ("student", "man student", "woman student"),
        ("pedestrian", "man walking", "woman walking facing right", "person walking facing right"),
        ("person with white cane", "man with white cane facing right"),
        ("person with crown", "prince", "princess"),
        ("merperson", "merman", "mermaid"),
        ("mx claus", "father christmas", "mother christmas"),
        ("adult", "man", "woman: red hair", "man: bald", "bearded person"),
        ("family", "family: man, man, boy", "family: adult, child"),
        ("kiss", "kiss: woman, man"),
        ("people holding hands", "two men holding hands", "man and woman holding hands"),
        ("left-facing fist", "right-facing fist"),
        ("green heart", "black heart"),
        ("clock face two oclock", "clock face ten-thirty"),
        ("full moon symbol", "first quarter moon with face"),
        ("keycap 1", "keycap ten", "hash key"),
        ("leftwards black arrow", "north east arrow"),
    ],
)
def test_variants_share_a_group(keys: dict[str, RowKey], names: tuple[str, ...]) -> None:
    assert len({keys[name].group for name in names}) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("student", "teacher"),
        ("kiss", "couple with heart", "family"),
        ("dog", "cat"),
        ("grinning face", "smiling face with sunglasses"),
        ("child", "adult", "older adult"),
        ("female sign", "male sign"),
    ],
)
def test_other_emoji_do_not(keys: dict[str, RowKey], names: tuple[str, ...]) -> None:
    assert len({keys[name].group for name in names}) == len(names)


def test_a_group_falls_into_one_split(keys: dict[str, RowKey]) -> None:
    for seed in range(3):
        splits: dict[str | None, set[object]] = {}
        for key in keys.values():
            splits.setdefault(key.group, set()).add(split_of(ShareSplitsSpec(), key, seed=seed))
        assert {len(found) for found in splits.values()} == {1}


def test_draws_over_white_at_the_asked_size(keys: dict[str, RowKey]) -> None:
    rows = list(open_source(OpenMojiSourceSpec(size=48)).read([keys["red apple"], keys["sunglasses"]]))
    with Image.open(io.BytesIO(rows[0].image)) as drawn:
        assert drawn.size == (48, 48)
        assert drawn.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert drawn.convert("RGBA").getextrema()[3] == (255, 255)
    assert (rows[0].text, rows[0].label) == ("red apple", "Food & Drink")
    assert rows[0].image != rows[1].image


def test_further_columns_are_the_hues_and_the_version(keys: dict[str, RowKey]) -> None:
    plain, source = open_source(OpenMojiSourceSpec()), open_source(OpenMojiSourceSpec(columns=("colors", "version")))
    values = {key.id: key.values for key in source.plan(1).keys}
    assert source.facts().values == ("colors", "version")
    assert plain.facts().values == ()
    assert plain.fingerprint() != source.fingerprint()
    assert values[keys["red apple"].id]["version"] == "0.6"
    assert values[keys["red apple"].id]["colors"] == "green;orange;red"
    seen = Counter(hue for row in values.values() for hue in row["colors"].split(";"))
    assert set(seen) == {*HUES, ""}
    assert seen["grey"] == 644


def test_hues_are_the_palettes() -> None:
    assert hues('<path fill="#92D3F5"/><path fill="#1e50a0"/><circle stroke="#fca"/>') == ["blue"]
    assert hues('<path fill="#000"/><path fill="#ffffff"/>') == []


def test_the_card_names_licence_and_attribution() -> None:
    facts = open_source(OpenMojiSourceSpec()).facts()
    assert facts.licence == "CC BY-SA 4.0"
    assert "OpenMoji" in facts.attribution
    assert "creativecommons.org/licenses/by-sa/4.0" in facts.attribution


def test_missing_packages_are_named_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "resvg-py":
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(ResourceError, match=r"no package resvg-py[\s\S]*pip install 'mmdist\[demo\]'"):
        open_source(OpenMojiSourceSpec()).plan(1)
