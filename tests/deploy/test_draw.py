"""The pictures of the dashboards have every panel, for every kind of response of Prometheus."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlparse

import pytest
from PIL import Image

from deploy.grafana.classic import placed
from deploy.grafana.dashboard import DASHBOARDS
from deploy.grafana.draw import EXCERPTS, LINE_PIXELS, draw, excerpt
from deploy.grafana.panel import Query
from deploy.grafana.prometheus import Prometheus, Series
from deploy.grafana.unit import written

if TYPE_CHECKING:
    from pathlib import Path

INSTANT, RANGE = "/api/v1/query", "/api/v1/query_range"


@contextmanager
def answering(*values: float):
    """A Prometheus that gives the same series for every query over ten minutes; it records the queries."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            place = urlparse(self.path)
            asked.append((place.path, parse_qs(place.query)["query"][0]))
            points = [[1000 + 60 * minute, str(value)] for minute, value in enumerate(values)]
            series = {"value": points[-1]} if place.path == INSTANT and points else {"values": points}
            found = [{"metric": {"instance": "monitor-1", "le": "0.5"}, **series}] if points else []
            body = json.dumps({"data": {"result": found}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Do not log requests."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Prometheus(f"http://127.0.0.1:{server.server_port}", 1000.0, 1600.0, 5.0), asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_every_panel_is_drawn(tmp_path: Path):
    dashboard = DASHBOARDS[0]
    with answering(0.0, 0.3, float("nan"), 7.0) as (prometheus, asked):
        assert draw(dashboard, prometheus, tmp_path / "picture.png") == []
    queries = [query for row in dashboard.rows for panel in row.panels for query in panel.queries]
    assert len(asked) >= len(queries)
    assert not [text for _, text in asked if "$" in text]
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 1728
        assert len(picture.convert("RGB").getcolors(2**20)) > 20


def test_an_excerpt_has_just_the_panels_that_it_names(tmp_path: Path):
    for dashboard in DASHBOARDS:
        rows = EXCERPTS[dashboard.file.stem]
        lines = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in placed(dashboard.rows))
        Image.new("RGB", (1728, 2 * lines * LINE_PIXELS), "white").save(tmp_path / "whole.png")
        excerpt(dashboard, tmp_path / "whole.png", tmp_path / "excerpt.png")
        with Image.open(tmp_path / "excerpt.png") as picture:
            assert picture.width == 1152
            assert picture.height % LINE_PIXELS == 0
            white = picture.convert("RGB").getpixel((10, picture.height - 10))
        assert white == (255, 255, 255)
        assert {title for row in rows for title in row} <= {
            panel.title for row in dashboard.rows for panel in row.panels
        }


def test_panels_without_data_are_named(tmp_path: Path):
    with answering() as (prometheus, _):
        rows = DASHBOARDS[0].rows[:1]
        empty = draw(replace(DASHBOARDS[0], rows=rows), prometheus, tmp_path / "picture.png")
    assert empty == [panel.title for panel in rows[0].panels if panel.kind != "text"]


def test_a_line_is_named_by_its_legend():
    with answering(1.0, 2.0) as (prometheus, asked):
        found = prometheus.ask(Query("of {{instance}} {{absent}}", "up[$__rate_interval]"), is_instant=False)
        assert found == [Series("of monitor-1", [1000, 1060], [1.0, 2.0])]
    assert asked == [(RANGE, "up[20s]")]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0042, "s", "4.2 ms"),
        (0, "s", "0 s"),
        (90, "s", "1.5 min"),
        (1, "bool_yes_no", "Yes"),
        (0.034, "percentunit", "3.4%"),
        (3 * 2**20, "bytes", "3 MiB"),
        (512, "bytes", "512 B"),
        (2500, "cps", "2.5 K c/s"),
        (12, "cpm", "12 c/m"),
        (12345, "none", "12345"),
        (float("nan"), "s", ""),
    ],
)
def test_numbers_are_written_as_in_grafana(value, unit, text):
    assert written(value, unit) == text
