"""One sentence for each fault that pydantic finds."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError, model_validator

from monitor.validation import first_error


class Inner(BaseModel):
    value: float


class Outer(BaseModel):
    inner: Inner
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _check(self) -> Outer:
        if self.low > self.high:
            raise ValueError("LOW is above HIGH: lower it")
        return self


OUTER = TypeAdapter(Outer)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"inner": {"value": "s3cret"}}', "inner.value: input should be a valid number"),
        ('{"inner": {"value": 1}, "low": 2}', "LOW is above HIGH: lower it"),
        ("{}", "inner: field required"),
        ("{", "its JSON: invalid JSON"),
    ],
)
def test_the_first_fault_is_one_sentence_without_the_value(text, sentence):
    with pytest.raises(ValidationError) as caught:
        OUTER.validate_json(text)
    found = first_error(caught.value)
    assert found.startswith(sentence)
    assert "s3cret" not in found


def test_the_reader_may_know_the_field_by_another_name():
    with pytest.raises(ValidationError) as caught:
        OUTER.validate_python({})
    assert first_error(caught.value, str.upper) == "INNER: field required"
