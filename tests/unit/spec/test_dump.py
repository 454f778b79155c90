import hashlib
import math
import typing
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdist.spec import JobSpec, PredictJob
from mmdist.spec.base import Spec
from mmdist.spec.data import InputDataSpec
from mmdist.spec.describe import JOB_KINDS, choices, keys, without_annotation
from mmdist.spec.dump import dump_job, job_hash
from mmdist.spec.load import parse_resolved


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value that a type of the job file's models accepts."""
    bare, constraints = without_annotation(annotation)
    members = choices(annotation)
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if type(None) in arguments or len(members) > 1:
        nothing = [st.none()] if type(None) in arguments else []
        return st.one_of(*nothing, *(values_of(member) for member in members))
    if isinstance(bare, type) and issubclass(bare, Spec):
        return specs(bare)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    least = next((rule.min_length for rule in constraints if hasattr(rule, "min_length")), 0)
    if origin is tuple and Ellipsis in arguments:
        return st.lists(values_of(arguments[0]), min_size=least, max_size=least + 2).map(tuple)
    if origin is tuple:
        return st.tuples(*(values_of(argument) for argument in arguments))
    if origin is dict:
        return st.dictionaries(st.text(), values_of(arguments[1]), max_size=2)
    if bare is str:
        pattern = next((rule.pattern for rule in constraints if getattr(rule, "pattern", None)), None)
        return st.from_regex(pattern.replace("$", r"\Z")) if pattern is not None else texts()
    plain = st.from_type(Annotated[(bare, *constraints)] if constraints else bare)
    return plain.filter(math.isfinite) if bare is float else plain


def texts() -> st.SearchStrategy[str]:
    tricky = ["", "no", "yes", "null", "~", "1e-3", "012", "3", "1.5", "true", "- a", "a: b", "#x", "&a", "*a", "!x"]
    return (
        st.sampled_from([*tricky, " x ", "'", '"', "\n", "0x1f", ".inf", "{a}", "é\U0001f600", "=", "<<"]) | st.text()
    )


def specs(model: type[Spec]) -> st.SearchStrategy[Spec]:
    return st.builds(
        lambda **given: model(**given),
        **{key.field.alias or name: values_of(key.annotation) for name, key in keys(model).items()},
    )


@settings(max_examples=150, deadline=None)
@given(job=st.one_of(*(specs(model) for model in JOB_KINDS.values())))
def test_any_job_loads_back_equal(job: JobSpec) -> None:
    again = parse_resolved(dump_job(job))
    assert again == job
    assert type(again) is type(job)
    assert job_hash(again) == job_hash(job)


def predict_job(**changes: Any) -> PredictJob:
    return PredictJob(kind="predict", model="m@latest", data=InputDataSpec(input="/d"), **{"name": "x", **changes})


def test_layout() -> None:
    assert dump_job(predict_job()).splitlines()[:3] == ["kind: predict", "name: x", "storage: runs"]


def test_hash_is_that_of_the_text() -> None:
    job = predict_job()
    assert job_hash(job) == hashlib.sha256(dump_job(job).encode()).hexdigest()
    assert job_hash(job) != job_hash(predict_job(seed=1))


@pytest.mark.parametrize("text", ["1e-3", "no", "012", "true", "", "\x85", "a\u2028b", "\ufeff", "\x00"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert parse_resolved(dump_job(predict_job(output=text))).output == text
