"""scikit-learn: logistic regression or a linear SVM on TF-IDF of words and character n-grams, and on raw pixels.

Which of the two, its C, and what the pixels weigh beside the texts are chosen by the accuracy on the validation rows.
"""

import io
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from contestant import Race, Rows, answer
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

MODELS = {
    "logistic regression": lambda c, seed: LogisticRegression(C=c, max_iter=300),
    "linear SVM": lambda c, seed: LinearSVC(C=c, random_state=seed),
}
CS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
PIXEL_SHARES = {"text": (0.0,), "picture": (1.0,), "both": (0.1, 0.2, 0.3, 0.5)}
"""What the pixels are of a row's squared length, by what is read."""

Matrix = npt.NDArray[np.float64]


def learn(race: Race) -> tuple[list[str], str]:
    """Tries all settings, and answers by the best."""
    splits = (race.train, race.validation, race.test)
    texts, pixels = texts_of(splits), pixels_of(splits)
    best: tuple[float, str, list[str]] = (-1.0, "", [])
    for share in PIXEL_SHARES[race.reads]:
        products = [(1 - share) * text + share * pixel for text, pixel in zip(texts, pixels, strict=True)]
        train, validation, test = coordinates(products)
        for name, make in MODELS.items():
            for c in CS:
                model = make(c, race.seed).fit(train, race.train.labels)
                accuracy = model.score(validation, race.validation.labels)
                if accuracy > best[0]:
                    words = f"{name}, C {c:g}, pixels {share:g} of 1: validation {accuracy:.3f}"
                    best = (accuracy, words, model.predict(test).tolist())
    return best[2], best[1]


def texts_of(splits: Sequence[Rows]) -> list[Matrix]:
    """By split, the products of its rows with the training rows: words and n-grams, half of the length each."""
    union = make_union(
        TfidfVectorizer(sublinear_tf=True), TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    )
    train = union.fit_transform(splits[0].texts)
    return [(union.transform(rows.texts) @ train.T).toarray() / 2 for rows in splits]


def pixels_of(splits: Sequence[Rows]) -> list[Matrix]:
    """By split, the products of its rows with the training rows: pixels less their mean, of mean length 1."""
    flat = [np.stack([pixels_in(data) for data in rows.pictures]) for rows in splits]
    mean = flat[0].mean(axis=0)
    scale = np.square(flat[0] - mean).sum(axis=1).mean()
    return [(each - mean) @ (flat[0] - mean).T / scale for each in flat]


def pixels_in(data: bytes) -> Matrix:
    """A picture's numbers in a row."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64).ravel()


def coordinates(products: Sequence[Matrix]) -> list[Matrix]:
    """The rows in a basis of what the training rows span: penalized linear models are the same in it, and much faster.

    Args:
        products: By split, with the training rows; those of the training split first.
    """
    squares, basis = np.linalg.eigh(products[0])
    counts = squares > squares[-1] * 1e-9
    return [each @ (basis[:, counts] / np.sqrt(squares[counts])) for each in products]


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    answer(learn)
