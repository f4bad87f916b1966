"""What ./stack bench makes of its rounds: medians, ratios, the comparison with kept ones, tables and plots."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench import goals, plot, table
from bench.__main__ import advice
from bench.measure import Point, Round, Rounds, Spread
from bench.page import Result, write
from bench.setups import WORKS, every


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """every() sets what the Compose files read."""
    for name in ("WSGI_APP", "READY_PATH", "RELEASE_COMMAND"):
        monkeypatch.setenv(name, "")


def rounds_of(**cpu: float) -> Rounds:
    """JSON rounds of these setups; `-` is written `_`."""
    rounds, setups = Rounds(), {one.name: one for one in every()}
    for name, value in cpu.items():
        rounds.add(setups[name.replace("_", "-")], WORKS[0], Round(value, 100.0, 1.0, 2.0, 100, 0))
    return rounds


def test_median_with_spread():
    """A figure is the median of its rounds, with the lowest and the highest."""
    assert Spread.of([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)


def test_round_with_errors_is_shown_and_not_used():
    """A round with an error gives no figure, and its errors are counted."""
    setup = every()[0]
    rounds = rounds_of(gunicorn=300.0)
    rounds.add(setup, WORKS[0], Round(10.0, 9999.0, 0.1, 0.1, 100, 7))
    assert rounds.figure("gunicorn", "json", "cpu") == Spread(300.0, 300.0, 300.0)
    assert rounds.errors("gunicorn", "json") == 7
    assert table.overview([setup], [WORKS[0]], rounds, {})[1][-1] == "7"


def test_ratios_of_what_was_measured():
    """A ratio is there when both sides were measured, and only then."""
    found = {ratio.name: value for ratio, value in goals.ratios(rounds_of(uwsgi=240.0, single_container=300.0))}
    assert found == {"CPU, json: uwsgi ÷ single-container": 0.8}


@pytest.mark.parametrize("cpu, count", [(240.0, 0), (275.0, 0), (277.0, 1), (100.0, 0)])
def test_check_fails_beyond_the_margin(cpu, count):
    """--check takes a ratio that is up to 15 % worse than kept, and any that is better."""
    kept = {"CPU, json: uwsgi ÷ single-container": 0.8, "one that was not measured": 1.0}
    worse = goals.worse(rounds_of(uwsgi=cpu, single_container=300.0), kept)
    assert len(worse) == count


def test_more_may_be_better():
    """A ratio of requests/s is worse when it is smaller."""
    ratio = next(ratio for ratio in goals.RATIOS if ratio.more_is_better)
    assert ratio.is_kept(16, ratio.goal) and not ratio.is_kept(14, ratio.goal)
    assert ratio.worst(15) < 15


def test_every_ratio_names_setups_and_works_that_exist():
    """No ratio can stay unmeasured because of a name."""
    setups, works = {one.name: one for one in every()}, {work.name: work for work in WORKS}
    for ratio in goals.RATIOS:
        for setup, work in (ratio.above, ratio.below):
            assert setups[setup].does(works[work])


def test_every_server_is_measured():
    """A folder more in deploy/servers is a setup more."""
    from deploy.settings import server_names

    assert {one.name for one in every() if one.kind == "stack"} == {*server_names(), "gunicorn-sync"}


def test_advice_is_the_server_that_takes_least():
    """One sentence names the server with the least CPU a request, and compares only if there is another."""
    several = advice(every(), [WORKS[0]], rounds_of(gunicorn=300.0, uwsgi=200.0, gunicorn_sync=100.0))
    assert "WSGI_SERVER=uwsgi, which takes 200 µs" in several and "33% less than gunicorn" in several
    assert "less than" not in advice(every(), [WORKS[0]], rounds_of(gunicorn=300.0))


def test_plots_are_svg_for_light_and_dark():
    """Plots can be parsed, name what they show, and follow the reader's colours."""
    bars = plot.bars("CPU", "µs", [plot.Bar("a < b", 3.0, 2.0, 4.0, 0)])
    lines = plot.lines("rate", "clients", "1/s", {"a": [(1, 10.0), (512, 4000.0)], "b": [(1, 0.5)]}, log_y=True)
    for svg in (bars, lines):
        root = ElementTree.fromstring(svg)
        assert root.find("{http://www.w3.org/2000/svg}title").text in ("CPU", "rate")
        assert "prefers-color-scheme: dark" in svg


def test_page_is_whole(tmp_path):
    """The page and each plot that it shows are written."""
    points = [Point(1, 10.0, 1.0, 0, 0), Point(2, 20.0, 2.0, 0, 0)]
    result = Result(
        {"cpu": "2 × x"},
        every(),
        list(WORKS),
        rounds_of(gunicorn=300.0),
        {"gunicorn": 130.0},
        {"gunicorn": points},
        {"gunicorn": points},
        [2.0],
        {"web": 200.0, "nginx": 100.0},
    )
    write(tmp_path / "performance.md", result)
    text = (tmp_path / "performance.md").read_text()
    for name in ("json", "clients", "clients-p99", "offered"):
        assert f"(performance/{name}.svg)" in text and (tmp_path / f"performance/{name}.svg").is_file()
    assert result.as_json()["rounds"]["gunicorn"]["json"][0]["cpu"] == 300.0
