"""The fast way for plain texts gives what the library gives, whatever the texts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdist.data.tokenizer import Tokenizer, learn_from_texts, read_tokenizer
from mmdist.spec.text import TextSpec, WordTokenizerSpec

LEARNED = ["red Green blue_1 RED, --- can't stop. x", "[PAD] [UNK] pad unk [ ]", "\x1c \x1f \x00 \x7f a\x0bb"]
PIECES = st.sampled_from(
    [
        *"_9[],' \t\n\r\x0b\x0c\x1c\x1f\x00\x7f\u00a0\u0130\U0001f600",
        "  ",
        "---",
        "red",
        "Green",
        "blue_1",
        "RED",
        "[PAD]",
        "[UNK]",
        "[pad]",
        "caf\u00e9",
    ]
)
TEXTS = st.lists(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20), max_size=12)
ASCII = st.lists(st.text(st.characters(max_codepoint=127), max_size=40), max_size=8)


def tokenizer(*, lowercase: bool) -> Tokenizer:
    return learn_from_texts(
        LEARNED, TextSpec(tokens=6, vocabulary=30, tokenizer=WordTokenizerSpec(lowercase=lowercase))
    )


TOKENIZERS = {lowercase: tokenizer(lowercase=lowercase) for lowercase in (False, True)}


@pytest.mark.parametrize("lowercase", [False, True])
@given(texts=TEXTS | ASCII)
@example(texts=[])
@example(texts=["", "red", ""])
@example(texts=["red" * 3000 + " blue", "a," * 5000])
def test_plain_texts_get_the_librarys_numbers(lowercase: bool, texts: list[str]) -> None:
    found = TOKENIZERS[lowercase]
    assert found._ascii_words is not None
    expected = found._encode_any([text[: found.max_characters] for text in texts])
    assert found.encode(texts).tolist() == expected.tolist()


def test_every_ascii_character_stands_where_the_library_puts_it() -> None:
    texts = [f"red{chr(left)}{chr(right)}RED" for left in range(128) for right in range(128)]
    for found in TOKENIZERS.values():
        assert found.encode(texts).tolist() == found._encode_any(texts).tolist()


def test_another_tokenizer_goes_the_librarys_way() -> None:
    data = TOKENIZERS[True].to_bytes()
    other = read_tokenizer(data.replace(b'"Whitespace"', b'"WhitespaceSplit"'))
    assert other._ascii_words is None
    assert other.encode(["red, red"]).tolist() == other._encode_any(["red, red"]).tolist()
