"""Tokenizers of files: what is kept of them, and which are refused."""

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from mmdist.data.text_augmentation import TextAugmentation
from mmdist.data.tokenizer import FileTokenizer, read_tokenizer
from mmdist.errors import DataRefusedError
from mmdist.spec.augment import WordDropoutSpec, WordMaskingSpec

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "fire", "##fight", "##er", "red"]


def published(vocabulary=VOCABULARY):
    """The content of a `tokenizer.json` as BERT's is laid out, with a length and a padding of its own."""
    numbers = {token: number for number, token in enumerate(vocabulary)}
    inner = tokenizers.Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    frame = [(token, numbers[token]) for token in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    inner.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    inner.enable_truncation(128)
    inner.enable_padding(pad_id=numbers["[PAD]"], length=128)
    return inner.to_str().encode()


def test_texts_are_framed_cut_and_padded():
    tokenizer = FileTokenizer.read(published(), "tokenizer.json", tokens=5)
    ids = tokenizer.encode(["Red", "firefighter red red", "", " \t", "blue"])
    assert ids.dtype == np.int32
    assert ids.tolist() == [[2, 7, 3, 0, 0], [2, 4, 5, 6, 3], [0] * 5, [0] * 5, [2, 1, 3, 0, 0]]
    assert tokenizer.count(["Red", ""]).tolist() == [3, 0]
    assert (tokenizer.size, tokenizer.vocabulary) == (8, VOCABULARY)


def test_a_run_keeps_all_of_it():
    tokenizer = FileTokenizer.read(published(), "tokenizer.json", tokens=5)
    again = read_tokenizer(tokenizer.to_bytes())
    assert isinstance(again, FileTokenizer)
    assert (again.to_bytes(), again.tokens, again.size) == (tokenizer.to_bytes(), 5, 8)
    assert again.encode(["a firefighter"]).tolist() == tokenizer.encode(["a firefighter"]).tolist()
    other = FileTokenizer.read(published(), "tokenizer.json", tokens=6)
    assert other.sha256 != tokenizer.sha256


def test_words_are_dropped_and_masked_inside_their_frame():
    tokenizer = FileTokenizer.read(published([*VOCABULARY, "[MASK]"]), "tokenizer.json", tokens=9)
    texts = tokenizer.encode(["red firefighter red red"] * 50)
    facts = (3, tokenizer.starts_word, tokenizer.frames, tokenizer.masked)
    rows = np.arange(50)
    masked = TextAugmentation([WordMaskingSpec(share=1.0)], *facts)(texts, rows, 0)
    assert masked.tolist() == [[2, 8, 8, 8, 8, 8, 8, 3, 0]] * 50
    dropped = TextAugmentation([WordDropoutSpec(share=0.5)], *facts)(texts, rows, 0)
    left = {tuple(row[row > 0].tolist()) for row in dropped}
    assert len(left) > 3
    assert all(row[0] == 2 and row[-1] == 3 and len(row) > 2 for row in left)
    assert {row.count(4) == row.count(5) == row.count(6) for row in left} == {True}, "a word goes with its parts"


@pytest.mark.parametrize(
    ("data", "tokens", "message"),
    [
        (b"junk", 5, "the tokenizer's file cannot be read"),
        (b"\xff", 5, "the tokenizer's file cannot be read"),
        (
            published([VOCABULARY[2], *VOCABULARY[:2], *VOCABULARY[3:]]),
            5,
            r"`\[PAD\]` as token 0\n  received: `\[CLS\]`",
        ),
        (published(), 2, "more than 2 tokens\n  received: 2 tokens"),
    ],
)
def test_what_cannot_be_used_is_refused(data, tokens, message):
    with pytest.raises(DataRefusedError, match=message):
        FileTokenizer.read(data, "tokenizer.json", tokens=tokens)


@pytest.mark.parametrize("data", [b'{"type": "file"}', b'{"type": "file", "tokenizer": {}}'])
def test_bytes_that_hold_none_are_refused(data):
    with pytest.raises(DataRefusedError, match="the tokenizer of the model cannot be read"):
        read_tokenizer(data)
