import math

import pytest
import yaml

from mmdist.errors import JobFileError, Place
from mmdist.spec import yaml_source
from mmdist.spec.yaml_source import parse_document, parse_value, read_scalar


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(yaml_source, "_Loader", getattr(yaml, request.param))
    return str(request.param)


def refused(text: str | bytes) -> str:
    with pytest.raises(JobFileError) as caught:
        parse_document(text, "job.yaml")
    return str(caught.value)


def test_values_and_places() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - {c: 'é', d: 0.5}\n", "f.yaml")
    assert document.value == {"a": 1, "b": ("x", {"c": "é", "d": 0.5})}
    assert document.key_place(("b", 1, "d")) == Place("f.yaml", 4, 14)
    assert document.value_place(("b", 1, "d")) == Place("f.yaml", 4, 17)
    assert document.value_place(("b", 0)) == Place("f.yaml", 3, 5)


def test_a_key_that_is_not_written_stands_where_its_section_does() -> None:
    document = parse_document("a:\n  b: 1\n", "f.yaml")
    assert document.value_place(("a", "x", "y")) == Place("f.yaml", 1, 1)
    assert document.key_place(("z",)) == Place("f.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-12", -12),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-3", 1e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("<<", "<<"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = read_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert parse_document("a: '3'\nb: \"true\"\nc: |\n  4\n", "f").value == {"a": "3", "b": "true", "c": "4\n"}


def test_keys_are_words_whatever_they_look_like() -> None:
    assert parse_document("1: a\ntrue: b\n", "f").value == {"1": "a", "true": "b"}


def test_tag() -> None:
    assert refused("name: !!python/object/apply:os.system ['id']\n") == (
        "job.yaml:1:7: tags are not allowed in a job file\n"
        "  expected: a plain value\n"
        "  received: !!python/object/apply:os.system"
    )
    assert refused("a:\n  b: !custom 3\n").startswith("job.yaml:2:6: tags are not allowed")
    assert refused("!!map {a: 1}\n").startswith("job.yaml:1:1: tags are not allowed")
    assert refused("!!str a: 1\n").startswith("job.yaml:1:1: tags are not allowed")


def test_anchor_and_alias() -> None:
    assert refused("a: &x 1\nb: *x\n") == (
        "job.yaml:1:4: anchors are not allowed in a job file\n  expected: the value alone\n  received: &x"
    )
    assert refused("b: *x\n") == (
        "job.yaml:1:4: aliases are not allowed in a job file\n  expected: the value itself\n  received: *x"
    )


def test_alias_bomb_is_refused_before_it_grows() -> None:
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert refused("\n".join(levels)).startswith("job.yaml:1:5: anchors are not allowed")


def test_duplicate_key() -> None:
    assert refused("a:\n  epochs: 1\n  b: 2\n  epochs: 3\n") == (
        "job.yaml:4:3: duplicate key `epochs`\n"
        "  expected: each key once\n"
        "  received: `epochs` here and in line 2\n"
        "  to do: delete one of the two"
    )


def test_second_document() -> None:
    assert refused("a: 1\n---\nb: 2\n") == "job.yaml:2:1: a job file holds one YAML document"


@pytest.mark.parametrize(("text", "received"), [("- a\n", "a list"), ("hello\n", "a single value")])
def test_top_must_be_a_mapping(text: str, received: str) -> None:
    assert refused(text) == (
        "job.yaml:1:1: a job file is a mapping of keys to values\n"
        "  expected: `kind: train` or another kind on a line of its own\n"
        f"  received: {received}"
    )


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_empty_file(text: str) -> None:
    assert refused(text).startswith("job.yaml: the job file is empty")


def test_broken_yaml_has_a_place() -> None:
    assert refused("a: [1, 2\nb: 3\n").startswith("job.yaml:2:")
    assert refused("a: b: c\n").startswith("job.yaml:1:5: not valid YAML: mapping values are not allowed")


def test_tab() -> None:
    message = refused("a:\n\tb: 1\n")
    assert message.startswith("job.yaml:2:1: not valid YAML")
    assert "to do: indent with spaces" in message


def test_text_that_ends_too_early() -> None:
    assert refused("a: [1,\n").startswith("job.yaml:2:1: not valid YAML")
    assert refused("a: 'x\n\n").startswith("job.yaml:")


def test_list_as_key() -> None:
    assert refused("? [a, b]\n: 1\n") == "job.yaml:1:3: a key is a word, not a list or a mapping"


def test_nesting_and_size_are_bounded() -> None:
    assert "nested deeper than 32 levels" in refused("a: " + "[" * 200 + "]" * 200)
    assert "too large" in refused("a: " + "x" * (1 << 20))


def test_not_utf8() -> None:
    assert refused(b"a: 1\nb: \xff\n") == "job.yaml:2:4: the job file is not UTF-8 text\n  received: byte 0xff"


def test_control_character() -> None:
    assert refused("a: \x00\n").startswith("job.yaml")


def test_value_of_an_override() -> None:
    value, places = parse_value("{type: flip, p: [1]}", "--set a=...")
    assert value == {"type": "flip", "p": (1,)}
    assert places[("p", 0)].value == Place("--set a=...")
    with pytest.raises(JobFileError, match=r"^--set a=\.\.\.: tags are not allowed"):
        parse_value("!!int 3", "--set a=...")
