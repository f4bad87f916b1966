"""./stack bench: figures, ratios, comparison with the baseline, tables, plots and the page."""

import xml.etree.ElementTree as ElementTree

import pytest

from bench import goals, plot, table
from bench.__main__ import recommendation
from bench.configurations import WORKLOADS, all_configurations
from bench.measure import Point, Round, Rounds, Spread
from bench.page import Result, write
from deploy.settings import server_names

JSON = WORKLOADS[0]


def rounds_of(**cpu: float) -> Rounds:
    """One JSON round with this CPU time for each configuration. Write `_` for `-` in a configuration's name."""
    rounds = Rounds()
    by_name = {configuration.name: configuration for configuration in all_configurations()}
    for name, value in cpu.items():
        measured = Round(cpu=value, rate=100.0, p50=1.0, p99=2.0, requests=100, errors=0)
        rounds.add(by_name[name.replace("_", "-")], JSON, measured)
    return rounds


def test_figure_is_the_median_with_its_spread():
    """A figure is the median of its rounds, with the lowest and the highest value."""
    assert Spread.of([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)


def test_round_with_errors_is_reported_but_not_used():
    """A round with errors does not contribute to the figures, and its errors are counted."""
    configuration = all_configurations()[0]
    rounds = rounds_of(gunicorn=300.0)
    rounds.add(configuration, JSON, Round(cpu=10.0, rate=9999.0, p50=0.1, p99=0.1, requests=100, errors=7))
    assert rounds.figure("gunicorn", "json", "cpu") == Spread(300.0, 300.0, 300.0)
    assert rounds.errors("gunicorn", "json") == 7
    [_, row] = table.overview([configuration], [JSON], rounds, {})
    assert row[-1] == "7"


def test_ratio_requires_both_figures():
    """A ratio is reported if both of its figures were measured, and only then."""
    measured = {ratio.name: value for ratio, value in goals.ratios(rounds_of(uwsgi=240.0, single_container=300.0))}
    assert measured == {"CPU, json: uwsgi ÷ single-container": 0.8}


@pytest.mark.parametrize("cpu, regressions", [(240.0, 0), (275.0, 0), (277.0, 1), (100.0, 0)])
def test_check_fails_beyond_the_margin(cpu, regressions):
    """--check accepts a ratio that is up to 15 % worse than the baseline, and every better ratio."""
    baseline = {"CPU, json: uwsgi ÷ single-container": 0.8, "a ratio that was not measured": 1.0}
    assert len(goals.regressions(rounds_of(uwsgi=cpu, single_container=300.0), baseline)) == regressions


def test_smaller_rate_is_a_regression():
    """A ratio of requests/s is worse when it is smaller."""
    ratio = next(ratio for ratio in goals.RATIOS if ratio.more_is_better)
    assert ratio.meets(16, ratio.goal) and not ratio.meets(14, ratio.goal)
    assert ratio.limit(15) < 15


def test_every_ratio_can_be_measured():
    """Every ratio names existing configurations, and workloads that these serve."""
    configurations = {configuration.name: configuration for configuration in all_configurations()}
    workloads = {workload.name: workload for workload in WORKLOADS}
    for ratio in goals.RATIOS:
        for configuration, workload in (ratio.numerator, ratio.denominator):
            assert configurations[configuration].serves(workloads[workload])


def test_every_server_is_measured():
    """Every folder in deploy/servers is measured as a configuration of the stack."""
    measured = {configuration.name for configuration in all_configurations() if configuration.kind == "stack"}
    assert measured == {*server_names(), "gunicorn-sync"}


def test_recommendation_is_the_server_with_the_least_cpu():
    """One sentence names the server with the least CPU per request, and compares it if others were measured."""
    several = rounds_of(gunicorn=300.0, uwsgi=200.0, gunicorn_sync=100.0)
    sentence = recommendation(all_configurations(), [JSON], several)
    assert "WSGI_SERVER=uwsgi, which uses 200 µs" in sentence and "33% less than gunicorn" in sentence
    assert "less than" not in recommendation(all_configurations(), [JSON], rounds_of(gunicorn=300.0))


def test_plots_are_svg_for_light_and_dark():
    """Plots are valid SVG, have a title and follow the reader's colour scheme."""
    bars = plot.bar_chart("CPU", "µs", [plot.Bar("a < b", 3.0, 2.0, 4.0, 0)])
    series = {"a": [(1, 10.0), (512, 4000.0)], "b": [(1, 0.5)]}
    lines = plot.line_chart("rate", "clients", "1/s", series, log_y=True)
    for svg in (bars, lines):
        root = ElementTree.fromstring(svg)
        assert root.find("{http://www.w3.org/2000/svg}title").text in ("CPU", "rate")
        assert "prefers-color-scheme: dark" in svg


def test_page_shows_every_plot(tmp_path):
    """The page and every plot that it shows are written; the JSON holds every round, and handwritten text is kept."""
    points = [Point(1, 10.0, 1.0, 0, 0), Point(2, 20.0, 2.0, 0, 0)]
    result = Result(
        machine={"cpu": "2 × x"},
        configurations=all_configurations(),
        workloads=list(WORKLOADS),
        rounds=rounds_of(gunicorn=300.0),
        memory={"gunicorn": 130.0},
        by_clients={"gunicorn": points},
        by_offered_load={"gunicorn": points},
        start_times=[2.0],
        images={"web": 200.0, "nginx": 100.0},
    )
    (tmp_path / "performance.md").write_text("# Old\n\n## Tuning\n\nWritten by hand.\n")
    write(tmp_path / "performance.md", result)
    text = (tmp_path / "performance.md").read_text()
    for name in ("json", "clients", "clients-p99", "offered"):
        assert f"(performance/{name}.svg)" in text and (tmp_path / f"performance/{name}.svg").is_file()
    assert text.endswith("\n\n## Tuning\n\nWritten by hand.\n") and "# Old" not in text
    assert result.as_json()["rounds"]["gunicorn"]["json"][0]["cpu"] == 300.0
