"""A pytest plugin for ./stack test: a line for each finished file, and the commands that repeat failed tests."""

import shlex
from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)  # after the plugin that prints
def pytest_configure(config):
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist; only the first process prints
    if not is_worker and config.get_verbosity() <= 0:  # -v prints a line for each test instead
        config.pluginmanager.register(Progress(config.pluginmanager.get_plugin("terminalreporter")))


class Progress:
    """Print a line when the last test of a file is finished, instead of a dot for each test."""

    def __init__(self, terminal):
        self.terminal, self.is_printed = terminal, set()
        terminal.showfspath = False  # default: the name of each file when it starts
        self.waiting: dict[str, set[str]] = {}  # tests that are not finished, by file
        self.outcomes: dict[str, Counter] = {}
        self.seconds: Counter = Counter()

    def pytest_collection_finish(self, session):
        self._expect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        self._expect(ids)  # each worker process collects the same tests

    def _expect(self, names):
        for name in names:
            self.waiting.setdefault(_file(name), set()).add(name)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report):
        category, letter, word = yield
        if category:
            self.outcomes.setdefault(_file(report.nodeid), Counter())[category] += 1
        return category, "", word  # without a letter, pytest prints nothing for the test until its summary

    def pytest_runtest_logreport(self, report):
        self.seconds[_file(report.nodeid)] += report.duration
        if report.failed:
            self._print(f"failed: {report.nodeid}")

    def pytest_runtest_logfinish(self, nodeid):
        file = _file(nodeid)
        self.waiting[file].discard(nodeid)
        if not self.waiting[file] and file not in self.is_printed:
            self.is_printed.add(file)
            number = f"{len(self.is_printed):>{len(str(len(self.waiting)))}}"
            outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.get(file, {}).items())
            self._print(f"[{number}/{len(self.waiting)}] {file}: {outcomes} ({self.seconds[file]:.1f} s)")

    def _print(self, line):
        self.terminal.ensure_newline()
        self.terminal.write_line(line)
        self.terminal.flush()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    yield  # first everything that pytest prints
    commands = repeat_commands(terminalreporter.stats)
    if commands:
        terminalreporter.section("to repeat a failed test alone")
        for command in commands:
            terminalreporter.write_line(command)


def repeat_commands(stats) -> list[str]:
    """Return the command that repeats each failed test."""
    names = [report.nodeid for category in ("failed", "error") for report in stats.get(category, [])]
    return [f"./stack test {shlex.quote(name)}" for name in dict.fromkeys(names)]


def _file(name: str) -> str:
    return name.partition("::")[0]
