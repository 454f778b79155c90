from typing import Any

import pytest

from mmdist.data.dataset import open_dataset
from mmdist.errors import JobFileError
from mmdist.prediction.columns import columns_for_model
from mmdist.spec.data import ColumnsSpec


def test_the_label_is_not_asked_for(small: Any) -> None:
    columns = ColumnsSpec(id="id", image="image", text="text", label="label")
    assert columns_for_model(columns, small.info, open_dataset(small.url)).label is None


def test_a_modality_that_the_model_does_not_read_is_not_asked_for(small: Any) -> None:
    info = small.info.model_copy(update={"text": None})
    columns = ColumnsSpec(id="id", image="image", text="no such column")
    assert columns_for_model(columns, info, open_dataset(small.url)) == ColumnsSpec(id="id", image="image")


def test_a_modality_may_be_left_out(small: Any) -> None:
    columns = ColumnsSpec(id="id", text="text")
    assert columns_for_model(columns, small.info, open_dataset(small.url)) == columns


def test_a_column_that_is_not_there_is_an_error_with_the_nearest_name(small: Any) -> None:
    with pytest.raises(JobFileError, match=r"data.columns.image: the dataset has no column `imag`(.|\n)*`image`"):
        columns_for_model(ColumnsSpec(id="id", image="imag", text="text"), small.info, open_dataset(small.url))


def test_a_job_that_names_nothing_the_model_reads_is_refused(small: Any) -> None:
    info = small.info.model_copy(update={"text": None})
    with pytest.raises(JobFileError, match=r"run small-model reads(.|\n)*column for `image`(.|\n)*text: text"):
        columns_for_model(ColumnsSpec(text="text"), info, open_dataset(small.url))
