"""Run the project's tests.

Install Docker and build the images if necessary, then run pytest in a container. The exit status is that of pytest.
The output ends with the slowest tests and, for each failed test, the command that repeats it alone.

--quick runs the unit tests, the tests of the configuration, and the smoke tests on one stack.

--each runs each test file in a process of its own, with its tests in reversed order: a test that depends on another
test fails. Its arguments are files and folders; default: all.

Where no Docker engine works and none can be installed, the tests that need none run on this machine, the smoke tests on
plain processes, and the last line says how many tests were not run. If the environment variable CI is set, this is an
error instead.

Examples:
  ./stack test                               run all tests
  ./stack test --quick                       run the tests that find most errors, in about five minutes on two CPUs
  ./stack test tests/unit -k proxy           run a selection: all arguments go to pytest
  ./stack test --each tests/unit/app         check that the tests of each file need no other test
  ./stack test -x tests/live/test_cache.py   stop at the first failure
"""

import os
import platform

from cli import base_image, build_inputs, compose, console, engine, local_tests, sudo, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Develop"
IMAGE = "test"
# Two processes: with four, the stacks of the tests take the CPU time from each other on a machine with two CPUs, and
# tests with deadlines fail. tests/parallel.py sets the order. Without --no-loadscope-reorder the files with the most
# tests would start first; the slowest ones have few.
PARALLEL = ["-p", "tests.parallel", "--numprocesses", "2", "--no-loadscope-reorder"]
# Without a progress style, pytest prints no percentages between the lines of tests/progress.py.
OUTPUT = ["-p", "tests.progress", "-o", "console_output_style=classic", "--durations=10"]
# The stack comes first: it starts while the unit tests run in the other processes.
QUICK = [
    "tests/live/test_stack.py::test_up_ends_with_a_page",
    "tests/live/test_stack.py::test_smoke",
    "tests/unit",
    "tests/config",
]
SOCKET = "/var/run/docker.sock"


def add_arguments(parser):
    """Pass all arguments to pytest, except --quick and --each."""
    parser.usage = "./stack test [--quick | --each] [arguments of pytest ...]"
    parser.add_argument("--quick", action="store_true", help="unit tests, configuration, and smoke tests on one stack")
    parser.add_argument("--each", action="store_true", help="each file in a process of its own, in reversed order")
    parser.set_defaults(takes_rest=True)


def run(args):
    """Build all images, then run pytest; without an engine, run the tests that need none."""
    selection = QUICK if args.quick else []
    own = args.rest[1:] if args.rest[:1] == ["--"] else args.rest
    if args.each:
        return run_in_image(["python3", "-m", "tests.each", *own])
    try:
        engine.ensure()
    except StackError as error:
        _require_engine_if_possible(error)
        return local_tests.run(error, [*PARALLEL, *OUTPUT], selection, own)
    return run_in_image(["pytest", *PARALLEL, *OUTPUT, *selection, *own])


def _require_engine_if_possible(error):
    """Raise the error again if the user can have an engine, or if CI has to run every test."""
    if os.environ.get("CI"):
        error.cause += "\nCI is set, so tests that need an engine must not be left out."
        raise error
    has_chosen = isinstance(error, engine.AccessDenied | sudo.Declined) or os.environ.get("DOCKER_HOST")
    if has_chosen or platform.system() != "Linux":
        raise error


def run_in_image(command, options=()):
    """Build all images, then run a command in a container of the test image, which can start stacks itself.

    options: additional options of `docker run`.
    """
    engine.ensure()
    socket = engine_socket(engine.endpoint())
    config = compose.config(tools=True)
    base_image.ensure_for(config)
    build = compose.command("build", profiles=compose.all_profiles(), tools=True)
    console.run("building the images", build, env=compose.environment(), fix="./stack test")
    return tool_images.run(config["services"][IMAGE]["image"], [*_options(socket), *options], command)


def engine_socket(endpoint):
    """The path of the engine's socket on this machine."""
    if not endpoint.startswith("unix://"):
        raise StackError(
            f"The tests cannot use the engine at {endpoint}.",
            "They mount this folder and the engine's socket, so the engine must run on this machine.",
            "env -u DOCKER_HOST ./stack test",
        )
    return endpoint[len("unix://") :]


def _options(socket):
    # The folder has the same path in the container, since the stacks that the tests start mount parts of it.
    return [
        "--privileged",
        "--volume",
        f"{socket}:{SOCKET}",
        "--volume",
        f"{ROOT}:{ROOT}",
        "--workdir",
        str(ROOT),
        "--env",
        "IMAGE_TAG",  # if it is set: the tests start the images that were built with it
        "--env",
        "PYTEST_ADDOPTS=-o cache_dir=/tmp/pytest-cache",  # default: in this folder, as files of root
        *(f"--env={name}={value}" for name, value in build_inputs.environment().items()),
    ]
