"""Run each test file in a process of its own, with its tests in reversed order. Run by `./stack test --each`.

    python3 -m tests.each [FILE or FOLDER ...]     default: all tests except tests/smoke, which need a running site

A test that needs another test to run before it, in its file or in another one, fails. Tests marked with `in_order` are
one story: their order is kept. The exit status is 1 if a file fails.

This module is also the pytest plugin that reverses the order.
"""

import configparser
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 2
NO_TESTS = 5  # exit status of pytest: no test of the file can run on this machine


@pytest.hookimpl(trylast=True)  # after pytest has grouped the tests by the parameters of their fixtures
def pytest_collection_modifyitems(items):
    reversed_items = iter([item for item in reversed(items) if not item.get_closest_marker("in_order")])
    items[:] = [item if item.get_closest_marker("in_order") else next(reversed_items) for item in items]


def files(names: list[str]) -> list[str]:
    """Return these files, and the test files below these folders."""
    ini = configparser.ConfigParser()
    ini.read(ROOT / "pytest.ini")
    paths = [ROOT / name for name in names or ini["pytest"]["testpaths"].split()]
    found = [file for path in paths for file in (sorted(path.rglob("test_*.py")) if path.is_dir() else [path])]
    return [str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file) for file in found]


def run(file: str) -> tuple[str, int, str, float]:
    """Run a file and return its name, the exit status and the output of pytest, and the duration in seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.each", file]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return file, done.returncode, done.stdout, time.monotonic() - began


def main(names: list[str]) -> int:
    """Run the selected files, print a line for each, and the output of those that fail. Return the exit status."""
    failed = 0
    with ThreadPoolExecutor(PROCESSES) as pool:
        for file, status, output, seconds in pool.map(run, files(names)):
            is_failed = status not in (0, NO_TESTS)
            failed += is_failed
            print(f"{'FAILED' if is_failed else 'passed'}  {file} ({seconds:.1f} s)", flush=True)
            if is_failed:
                print(output, flush=True)
    print(f"{failed} files failed." if failed else "Each file passes alone, with its tests in reversed order.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
