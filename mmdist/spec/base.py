"""The base of every part of a job file: frozen, and closed to unknown keys."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["Spec", "default_type"]


class Spec(BaseModel):
    """A frozen part of a job file. An unknown key is an error, never ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        populate_by_name=True,
        allow_inf_nan=False,
    )


def default_type(kind: str) -> BeforeValidator:
    """Lets a section that is chosen by its `type` leave it out: it is then of this kind, as a section left out is."""

    def fill_in(value: Any) -> Any:
        return {"type": kind, **value} if isinstance(value, dict) else value

    return BeforeValidator(fill_in)
