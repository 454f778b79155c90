"""Beam search against all sentences of a tiny language, counted out one by one."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from mmdist.models.decoders import beam_search

TOKENS, CLASSES, ROWS = 4, 5, 6  # 0 padding, 1 unknown, 2 and 3 words, 4 the end
END = CLASSES - 1
NEVER = (0, 1)


@pytest.fixture(scope="module")
def table():
    """Of each row, the logits after any sentence so far: they depend on all of its words."""
    logits = np.random.default_rng(0).normal(scale=1.5, size=(ROWS, TOKENS, 64, CLASSES)).astype(np.float32)
    logits[..., list(NEVER)] = -1e9
    return logits


def key(sentence):
    return sum(3 ** (TOKENS - 1 - place) * (token - 1) for place, token in enumerate(sentence[: TOKENS - 1]) if token)


def search(table, beams, penalty):
    weights = np.array([3 ** (TOKENS - 1 - place) for place in range(TOKENS)], np.int32)
    weights[-1] = 0

    @tf.function(autograph=False)
    def run():
        def logits_at(place, sentences):
            keys = tf.reduce_sum(tf.maximum(sentences - 1, 0) * weights, axis=1)
            rows = tf.repeat(tf.range(ROWS), beams)
            return tf.gather_nd(tf.constant(table), tf.stack([rows, tf.fill([ROWS * beams], place), keys % 64], axis=1))

        return beam_search(logits_at, rows=ROWS, tokens=TOKENS, classes=CLASSES, beams=beams, length_penalty=penalty)

    return [value.numpy() for value in run()]


def all_sentences():
    for length in range(1, TOKENS + 1):
        for words in product((2, 3), repeat=length):
            yield (*words, END) if length < TOKENS else words


def log_probability(table, row, sentence):
    total, padded = 0.0, [*sentence, *[0] * TOKENS][:TOKENS]
    for place, token in enumerate(sentence):
        logits = table[row, place, key([*padded[:place], *[0] * (TOKENS - place)]) % 64].astype(np.float64)
        total += logits[token] - np.log(np.exp(logits).sum())
    return total


@pytest.mark.parametrize("penalty", [0.0, 1.0, 3.0])
def test_with_enough_beams_it_finds_the_best_of_all(table, penalty):
    tokens, scores = search(table, 32, penalty)
    for row in range(ROWS):
        found = {sentence: log_probability(table, row, sentence) for sentence in all_sentences()}
        best = max(found, key=lambda sentence: found[sentence] / ((5 + len(sentence)) / 6) ** penalty)
        assert tuple(token for token in tokens[row].tolist() if token) == best
        assert scores[row] == pytest.approx(found[best], rel=1e-5)


def test_one_beam_takes_the_most_probable_word_each_time(table):
    tokens, scores = search(table, 1, 0.6)
    for row in range(ROWS):
        sentence: list[int] = []
        while len(sentence) < TOKENS and END not in sentence:
            logits = table[row, len(sentence), key([*sentence, *[0] * TOKENS]) % 64].copy()
            logits[[*NEVER, *([] if sentence else [END])]] = -np.inf
            sentence.append(int(logits.argmax()))
        assert tokens[row].tolist() == [*sentence, *[0] * TOKENS][:TOKENS]
        assert scores[row] == pytest.approx(log_probability(table, row, sentence), rel=1e-5)


def test_more_beams_find_sentences_at_least_as_probable(table):
    by_beams = [search(table, beams, 0.0)[1] for beams in (1, 4, 32)]
    assert np.all(by_beams[0] <= by_beams[1] + 1e-6)
    assert np.all(by_beams[1] <= by_beams[2] + 1e-6)
    assert np.any(by_beams[0] < by_beams[2] - 1e-3), "the language must be one where greed loses"
