import random

import numpy as np
import pytest

from mmdist.data.tokenizer import Tokenizer, learn_from_texts, learn_tokenizer, read_tokenizer
from mmdist.errors import DataRefusedError
from mmdist.spec.text import TextSpec, WordTokenizerSpec


def learn(texts: list[str], *, tokens: int = 6, vocabulary: int = 100, lowercase: bool = True) -> Tokenizer:
    spec = TextSpec(tokens=tokens, vocabulary=vocabulary, tokenizer=WordTokenizerSpec(lowercase=lowercase))
    return learn_from_texts(texts, spec)


def test_words_follow_by_count_and_then_by_the_alphabet() -> None:
    tokenizer = learn(["b c a", "c a", "c"], vocabulary=5)
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "c", "a", "b"]
    assert tokenizer.size == 5


def test_encodes_with_padding_unknown_words_and_a_cut() -> None:
    ids = learn(["red green blue"], tokens=4).encode(["Green!", "", "blue red green blue red", "  \t\n"])
    green, blue, red = 3, 2, 4
    assert ids.dtype == np.int32
    assert ids.tolist() == [[green, 1, 0, 0], [0, 0, 0, 0], [blue, red, green, blue], [0, 0, 0, 0]]


def test_ties_are_cut_alike_whatever_the_order_of_the_texts() -> None:
    texts = [f"word{number % 700}" for number in range(2100)]
    first = learn(texts, vocabulary=300)
    shuffled = list(texts)
    random.Random(1).shuffle(shuffled)
    assert learn(shuffled, vocabulary=300).to_bytes() == first.to_bytes()
    assert first.vocabulary[2:] == sorted({f"word{number}" for number in range(700)})[:298]


def test_round_trip_keeps_bytes_hash_and_numbers() -> None:
    tokenizer = learn(["one two", "three"], tokens=3, lowercase=False)
    again = read_tokenizer(tokenizer.to_bytes())
    assert (again.to_bytes(), again.sha256, again.tokens) == (tokenizer.to_bytes(), tokenizer.sha256, 3)
    assert again.encode(["two One"]).tolist() == tokenizer.encode(["two One"]).tolist()
    assert learn(["one two", "three"], tokens=4, lowercase=False).sha256 != tokenizer.sha256


@pytest.mark.parametrize(
    "data", [b"{}", b"\xff", b"", b'{"version":"1.0","model":{"type":"BPE","vocab":{},"merges":[]}}']
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataRefusedError, match="the tokenizer of the model cannot be read"):
        read_tokenizer(data)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("ﬁne", "fine"),  # a ligature, by NFKC
        ("ｆｕｌｌ", "full"),  # noqa: RUF001 - wide letters, by NFKC
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b", "a b"),  # a no-break space parts words
        ("FULL", "full"),
    ],
)
def test_unicode_is_normalised(text: str, same_as: str) -> None:
    tokenizer = learn(["fine full caf\u00e9 a b"])
    assert tokenizer.encode([text]).tolist() == tokenizer.encode([same_as]).tolist()
    assert 1 not in tokenizer.encode([text])


def test_odd_characters_are_tokens_like_others() -> None:
    texts = ["nul\x00here", "שלום עולם", "\u202eright to left\u202c", "😀👍🏽 astral \U0001d4b3", "\u200d\ufeff"]
    tokenizer = learn(texts, tokens=8)
    ids = tokenizer.encode(texts)
    assert 1 not in ids
    assert all(ids[row].any() for row in range(len(texts)))


def test_case_is_kept_on_request() -> None:
    assert "Word" in learn(["Word"], lowercase=False).vocabulary
    assert "word" in learn(["Word"]).vocabulary


def test_an_endless_text_is_cut_before_it_is_tokenised() -> None:
    tokenizer = learn(["a b"], tokens=4)
    assert tokenizer.max_characters == 4096
    assert learn(["a"], tokens=100).max_characters == 6400
    assert tokenizer.encode([" " * 4095 + "a b"]).tolist() == [[2, 0, 0, 0]]
    assert tokenizer.encode(["b " * 5_000_000]).tolist() == [[3, 3, 3, 3]]
    assert tokenizer.count(["a b c d e f", ""]).tolist() == [4, 0]


class _Store:
    url = "somewhere"


class _NoWords:
    """Stands for a dataset whose texts hold no word."""

    def __init__(self) -> None:
        import pyarrow as pa

        self.store = _Store()
        self.rows = 3
        self.index = self
        self._table = pa.table({"caption": ["", None, "  "]})

    def __len__(self) -> int:
        return 1

    def read_row_group(self, group: int, columns: list[str]) -> object:
        return self._table.select(columns)


def test_no_word_at_all_is_refused() -> None:
    with pytest.raises(DataRefusedError, match="column caption holds no word"):
        learn_tokenizer(_NoWords(), "caption", TextSpec())  # type: ignore[arg-type]
