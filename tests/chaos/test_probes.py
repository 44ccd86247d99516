"""Wrong answers of the probes during an outage, and growth during a soak, are found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos import probe, soak
from tests.chaos.probe import NOTICE_SECONDS, RECOVER_SECONDS, Sample, changes, delays
from tests.chaos.soak import Usage

LOST, BACK = 100.0, 700.0
TRUE = [
    Sample(95, 200, 200, "", 1),
    Sample(101, 200, 200, "", 1),  # cannot be known at once
    Sample(106, 200, 503, "broker", 0),
    Sample(LOST + NOTICE_SECONDS + 1, 200, 503, "broker", 0),
    Sample(690, 200, 503, "broker", 0),
    Sample(709, 200, 200, "", 1),
    Sample(BACK + RECOVER_SECONDS + 1, 200, 200, "", 1),
]
LIES = {
    "dead during an outage of the broker": (3, {"live": 503}),
    "dead before": (0, {"live": 0}),
    "ready without a broker": (4, {"ready": 200}),
    "up without a broker": (4, {"up": 1}),
    "another reason": (3, {"wrong": "group"}),
    "unready before": (0, {"ready": 503}),
    "never ready again": (6, {"ready": 503}),
    "never up again": (6, {"up": 0}),
}


def test_correct_answers_of_the_pages_are_no_fault():
    assert list(probe.judge(TRUE, LOST, BACK)) == []
    assert delays(TRUE, LOST, BACK) == {"seconds to notice": 6, "seconds to recover": 9}


def test_changes_are_reported_with_their_times():
    assert [line.split(" s ")[0] for line in changes(TRUE, LOST)] == ["-5.0", "+6.0", "+609.0"]


@pytest.mark.parametrize(("place", "lie"), LIES.values(), ids=LIES.keys())
def test_a_wrong_answer_of_a_page_is_found(place, lie):
    samples = [*TRUE[:place], replace(TRUE[place], **lie), *TRUE[place + 1 :]]
    assert len(list(probe.judge(samples, LOST, BACK))) == 1


def usages(**growth):
    """A warm-up, then 80 samples in which each value in `growth` grows by its amount in total."""
    start = Usage(0, 500_000, 30, 12, 0, 5000)
    cold = [replace(start, resident_kib=100_000, threads=3)] * 20
    grown = ({name: getattr(start, name) + by * step / 79 for name, by in growth.items()} for step in range(80))
    return cold + [replace(start, at=float(step), **one) for step, one in enumerate(grown)]


def test_constant_memory_after_any_warm_up_is_no_fault():
    assert soak.judge(usages(resident_kib=5000)) == []


@pytest.mark.parametrize("growth", [{"resident_kib": 20_000}, {"descriptors": 5}, {"threads": 3}])
def test_growing_memory_is_found(growth):
    assert len(soak.judge(usages(**growth))) == 1
