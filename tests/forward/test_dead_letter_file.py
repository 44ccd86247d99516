"""The file of refused events."""

from __future__ import annotations

from contextlib import closing

import orjson
import pytest

from monitor.errors import RefusedError
from monitor.forward.dead_letter_file import DeadLetterFile
from monitor.forward.request import Request
from monitor.forward.service import dead_letters
from monitor.settings import Settings
from tests.forward.pieces import event

ASKED = Request(b'{"id":"a"}', {"ce-id": "a"})


def lines(path):
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_says_what_was_sent_and_why_it_was_refused(tmp_path):
    path = tmp_path / "letters"
    with closing(DeadLetterFile(path)) as file:
        file.add(event("opened", 7, 3), ASKED, "http://x:80 answers 422", 0)
    assert lines(path) == [
        {
            "failed_at": "1970-01-01T00:00:00.000Z",
            "why": "http://x:80 answers 422",
            "alarm": "physiological:ecg.beats:0:7",
            "event": "opened",
            "partition": 0,
            "offset": 3,
            "headers": {"ce-id": "a"},
            "body": {"id": "a"},
        }
    ]


def test_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "letters"
    path.touch(0o644)
    DeadLetterFile(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_goes_on_after_a_line_that_was_not_finished(tmp_path):
    path = tmp_path / "letters"
    path.write_bytes(b'{"a": 1}\n{"fail')
    with closing(DeadLetterFile(path)) as file:
        file.add(event(), ASKED, "why", 0)
    first, broken, last = path.read_bytes().splitlines()
    assert (first, broken, orjson.loads(last)["why"]) == (b'{"a": 1}', b'{"fail', "why")


def test_it_is_bounded_and_the_file_before_is_kept(tmp_path):
    path = tmp_path / "letters"
    with closing(DeadLetterFile(path, max_bytes=2000)) as file:
        for number in range(50):
            file.add(event("opened", number), ASKED, "why", 0)
    older, newer = lines(tmp_path / "letters.1"), lines(path)
    assert (older + newer)[-1]["alarm"].endswith(":49")
    assert {one.name for one in tmp_path.iterdir()} == {"letters", "letters.1"}
    assert all(one.stat().st_size <= 2000 for one in tmp_path.iterdir())
    assert len(older) > 5


@pytest.mark.parametrize("name", ["", "missing/letters", "link"])
def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path, name):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="MONITOR_FORWARD_DEAD_LETTERS="):
        DeadLetterFile(tmp_path / name)


def test_a_body_with_lines_of_its_own_is_one_line(tmp_path):
    path, forged = tmp_path / "letters", b'{"id":"a","z":\n{"failed_at":"now"}\n}'
    with closing(DeadLetterFile(path)) as file:
        file.add(event(), Request(forged, {}), "why", 0)
    (line,) = lines(path)
    assert line["body"] == orjson.loads(forged)


def test_it_goes_on_after_a_new_file_could_not_be_opened(tmp_path):
    path = tmp_path / "letters"
    with closing(DeadLetterFile(path, max_bytes=10)) as file:
        file.add(event("opened", 1), ASKED, "why", 0)
        path.rename(tmp_path / "letters.1")  # as far as it came
        file.add(event("opened", 2), ASKED, "why", 0)
    assert [lines(one)[0]["alarm"][-1] for one in (tmp_path / "letters.1", path)] == ["1", "2"]


def test_two_forwarders_cannot_write_one_file(tmp_path):
    with (
        closing(DeadLetterFile(tmp_path / "letters")),
        pytest.raises(RefusedError, match="another forwarder writes it"),
    ):
        DeadLetterFile(tmp_path / "letters")


def test_each_kind_has_a_file_of_its_own_by_default(tmp_path):
    kinds = ("alertmanager", "webhook")
    assert len({dead_letters(Settings(), kind) for kind in kinds}) == 2
    given = Settings(forward_dead_letters=tmp_path / "a")
    assert {dead_letters(given, kind) for kind in kinds} == {tmp_path / "a"}
