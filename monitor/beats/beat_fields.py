"""The fields of a beat that is written as JSON, as types: the published schema is made from them."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from monitor.beats.beat import MAX_AMPLITUDE, SAMPLES
from monitor.beats.noise_header import MAX_NOISE

Sample = Annotated[float, Field(ge=-MAX_AMPLITUDE, le=MAX_AMPLITUDE)]


class BeatFields(TypedDict):
    """One beat. Other fields are ignored."""

    samples: Annotated[
        list[Sample], Field(min_length=SAMPLES, max_length=SAMPLES, description="in any unit, with any baseline")
    ]
    noise: NotRequired[
        Annotated[
            float, Field(ge=-MAX_NOISE, le=MAX_NOISE, description="of the lead before the beat, log; the header counts")
        ]
    ]
