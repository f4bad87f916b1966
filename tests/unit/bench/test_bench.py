"""./stack bench: what is compared, the comparison with a baseline, and the report."""

import argparse
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from bench import __main__ as bench
from bench import configurations, goals, page, plot
from bench.configurations import all_configurations
from bench.containers import Change
from bench.figures import Interval, Rounds
from bench.measure import Point
from bench.results import Results
from bench.workloads import OVERLOADED, WORKLOADS
from cli.console import ROOT
from deploy.errors import StackError
from deploy.settings import server_names


def rounds_of(**cpu: float) -> Rounds:
    """Rounds of JSON with this CPU time for each configuration. Write `_` for `-` in a configuration's name."""
    rounds = Rounds()
    for name, value in cpu.items():
        for noise in (0.97, 0.98, 0.99, 1.01, 1.02, 1.03):
            figures = {"cpu": value * noise, "rate": 100.0, "p50": 1.0, "p99": 2.0, "lag": 0.1}
            rounds.add(name.replace("_", "-"), "json", figures | {"requests": 100, "errors": 0})
    return rounds


OWN_COST = {"uwsgi": 240.0, "uwsgi_plain": 200.0}


def results_of() -> Results:
    points = [Point(1, 10.0, 1.0, 0, 0), Point(2, 20.0, 2.0, 3, 0)]
    return Results(
        machine={"cpu": "2 × x"},
        parts={
            "comparison": rounds_of(gunicorn=300.0, nginx_tcp=290.0),
            "ablation": rounds_of(**OWN_COST, gunicorn=300.0, tcp=330.0),
            "latency": rounds_of(uwsgi=1.0, uwsgi_one_thread=1.0),
        },
        overload={"timeline": {"gunicorn": points}, "wait": {"gunicorn": points}},
        memory={"gunicorn": 130.0},
        start_times=[2.0],
        images={"web": 200.0, "nginx": 100.0},
        seconds=5,
    )


def run_bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *words], cwd=ROOT, text=True, capture_output=True)


def test_every_server_is_measured():
    """Every folder in deploy/servers is measured, with one thread per process, and without the stack's own code."""
    for kind, suffix in (("stack", ""), ("one-thread", "-one-thread"), ("plain", "-plain")):
        measured = {name for name, configuration in all_configurations().items() if configuration.kind == kind}
        assert measured == {server + suffix for server in server_names()}


def test_every_ratio_can_be_measured():
    """Both sides of every ratio are configurations of its part that serve its workload."""
    available = all_configurations()
    workloads = {workload.name: workload for workload in WORKLOADS + OVERLOADED}
    for ratio in goals.RATIOS:
        for name, workload in (ratio.numerator, ratio.denominator):
            assert available[name].kind in configurations.PARTS[ratio.part]
            assert available[name].serves(workloads[workload])


@pytest.mark.parametrize("name", [name for name, found in all_configurations().items() if found.changes])
def test_every_change_applies(name):
    """The text that a variant replaces occurs exactly once in its file, so a variant cannot silently be the stack."""
    for change in all_configurations()[name].changes:
        before = (ROOT / change.file).read_text()
        assert change.apply(before) != before


def test_change_that_does_not_apply_is_an_error():
    """A text that does not occur exactly once is an error that names the file and the text."""
    for text in ("other", "pcre_jit on; pcre_jit on;"):
        with pytest.raises(StackError) as caught:
            Change("nginx/nginx.conf", "pcre_jit on;", "").apply(text)
        assert "nginx/nginx.conf" in caught.value.error and "pcre_jit on;" in caught.value.cause


def test_variant_mounts_its_changed_files():
    """The Compose file of a variant mounts the changed file over that of the image, in the container that reads it."""
    override = json.loads(all_configurations()["uwsgi-plain"].override().read_text())
    files = {service: options["volumes"] for service, options in override["services"].items()}
    assert [mount.split(":")[1] for mount in files["web"]] == ["/srv/deploy/wsgi.py"]
    assert [mount.split(":")[1] for mount in files["nginx"]] == [
        "/srv/nginx/settings.conf.template",
        "/srv/nginx/snippets/proxy.conf",
    ]
    [source, *_] = files["web"][0].split(":")
    with open(source) as changed:
        assert "middleware.wrap" not in changed.read()


def test_ratio_requires_both_configurations():
    """A ratio is reported if both of its configurations were measured, and only then."""
    measured = {ratio.name for ratio, _ in goals.ratios({"ablation": rounds_of(**OWN_COST, gunicorn=300.0)})}
    assert measured == {"CPU, json: uwsgi ÷ uwsgi-plain"}


@pytest.mark.parametrize(
    "low, high, is_regression", [(1.0, 1.1, False), (1.09, 1.3, False), (1.11, 1.2, True), (0.5, 0.6, False)]
)
def test_check_fails_if_the_intervals_do_not_overlap(low, high, is_regression):
    """--check fails for a ratio whose interval lies entirely beyond that of the baseline, on the worse side."""
    baseline, measured = Interval(1.05, 0.9, 1.1), Interval((low + high) / 2, low, high)
    less, more = goals.OWN_COST[0], next(ratio for ratio in goals.RATIOS if ratio.more_is_better)
    assert less.is_worse(measured, baseline) is is_regression
    assert more.is_worse(baseline, measured) is is_regression


def test_check_reports_the_regression(tmp_path, capsys):
    """--check ends with 1 and names the ratio and both intervals; without a regression it ends with 0."""
    measured = results_of()
    measured.write(tmp_path / "baseline.json")
    args = argparse.Namespace(
        available=all_configurations(), check=tmp_path / "baseline.json", json=None, page=None, part=["ablation"]
    )
    assert bench.report(args, measured) == 0
    measured.parts["ablation"] = rounds_of(uwsgi=300.0, uwsgi_plain=200.0)
    assert bench.report(args, measured) == 1
    assert "CPU, json: uwsgi ÷ uwsgi-plain is 1.50 (1.50–1.50). Baseline: 1.20 (1.20–1.20)." in capsys.readouterr().err


def test_results_file_has_every_round(tmp_path):
    """The file of --json has the values of every round, and can be read again without a loss."""
    measured = results_of()
    measured.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["parts"]["comparison"]["gunicorn"]["json"]["cpu"] == [
        291.0,
        294.0,
        297.0,
        303.0,
        306.0,
        309.0,
    ]
    Results.read(tmp_path / "results.json").write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "results.json").read_text()


@pytest.mark.parametrize("text", ["", "{}", '{"ratios": {"a": 1}}', "[]"])
def test_file_without_results_is_an_error(tmp_path, text):
    """--check with a file that has no results ends before the measurement, with error, cause and fix."""
    (tmp_path / "old.json").write_text(text)
    done = run_bench("--check", str(tmp_path / "old.json"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/old.json has no results") and "fix:" in done.stderr


@pytest.mark.parametrize(
    "words, cause",
    [
        (["--only", "gunicorn-w-3"], "Possible values: gunicorn, "),
        (["--part", "all"], "Possible values: comparison, ablation, latency, overload."),
        (["--rounds", "3"], "An interval of 95 % needs 6 rounds."),
        (["--page", "nowhere/performance.md"], "There is no folder nowhere."),
    ],
    ids=str,
)
def test_invalid_option_is_an_error_at_once(words, cause):
    """An invalid option ends the benchmark before the measurement, with error, cause and fix."""
    done = run_bench(*words)
    assert done.returncode == 2 and f"cause: {cause}" in done.stderr, done.stderr


def test_configuration_that_does_not_start_is_an_error(monkeypatch, tmp_path):
    """A configuration whose containers do not start is an error with the output of Compose and a fix, no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'no such image: tripod-web' >&2\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(StackError) as caught:
        all_configurations()["bare-nginx"].up()
    assert "bare-nginx" in caught.value.error and "no such image" in caught.value.cause and "--only" in caught.value.fix


def test_recommendation_is_the_server_with_the_least_cpu():
    """One sentence names the server with the least CPU per request, and compares it if others were measured."""
    args = argparse.Namespace(available=all_configurations())
    several = Results(parts={"comparison": rounds_of(gunicorn=300.0, uwsgi=200.0)})
    sentence = bench.recommendation(args, several)
    assert "WSGI_SERVER=uwsgi, which uses 200 (194–206) µs" in sentence
    assert "0.67 (0.67–0.67) × that of gunicorn" in sentence
    alone = Results(parts={"comparison": rounds_of(gunicorn=300.0)})
    assert "× that of" not in bench.recommendation(args, alone)


def test_plots_are_svg_for_light_and_dark():
    """Plots are valid SVG, have a title and follow the reader's colour scheme."""
    bars = plot.bar_chart("CPU", "µs", [plot.Bar("a < b", 3.0, 2.0, 4.0, 0)])
    lines = plot.line_chart("rate", "clients", "1/s", {"a": [(1, 10.0), (512, 4000.0)], "b": [(1, 0.5)]})
    for svg in (bars, lines):
        root = ElementTree.fromstring(svg)
        assert root.find("{http://www.w3.org/2000/svg}title").text in ("CPU", "rate")
        assert "prefers-color-scheme: dark" in svg


def test_page_shows_every_plot_and_ratio(tmp_path):
    """The page has every plot and every ratio with its interval; handwritten text is kept."""
    file = tmp_path / "performance.md"
    file.write_text("# Old\n\n## Tuning\n\nWritten by hand.\n")
    page.write(file, results_of(), all_configurations())
    text = file.read_text()
    for name in ("json", "overload-timeline", "overload-wait"):
        assert f"(performance/{name}.svg)" in text and (tmp_path / f"performance/{name}.svg").is_file()
    assert "| CPU, json: uwsgi ÷ uwsgi-plain | 1.20 (1.20–1.20) | ≤ 1.1 |" in text
    assert "| TCP instead of the Unix socket | 1.10 (1.10–1.10) |" in text
    assert "Not measured" not in text
    assert text.endswith("\n\n## Tuning\n\nWritten by hand.\n") and "# Old" not in text


@pytest.mark.parametrize("missing", ["comparison", "ablation", "latency", "overload"])
def test_page_without_a_part(tmp_path, missing):
    """A page can be written without any one part, as after --quick: its section is left out, and the page says so."""
    measured = results_of()
    if missing == "overload":
        measured.overload = {}
    else:
        del measured.parts[missing]
    measured.start_times = []
    page.write(tmp_path / "performance.md", measured, all_configurations())
    headings = {
        "comparison": "## Against other configurations",
        "ablation": "## What each part costs or saves",
        "latency": "## Latency",
        "overload": "## Overload",
    }
    text = (tmp_path / "performance.md").read_text()
    assert [part for part, heading in headings.items() if heading not in text] == [missing]
    assert f"Not measured in this run: {missing}." in text
