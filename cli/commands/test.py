"""Run the project's tests.

Install Docker and build the images if necessary, then run pytest in a container. The exit status is that of pytest.

Examples:
  ./stack test                               run all tests
  ./stack test tests/unit -k proxy           run a selection: all arguments go to pytest
  ./stack test -x tests/live/test_cache.py   stop at the first failure
"""

from cli import base_image, build_inputs, compose, console, engine, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Develop"
IMAGE = "test"
# Two processes, since the tests mostly wait for containers. The tests of a file stay together (tests/parallel.py).
# Without --no-loadscope-reorder the files with the most tests would start first, but the slowest files have few tests.
PARALLEL = ["-p", "tests.parallel", "--numprocesses", "2", "--no-loadscope-reorder"]
SOCKET = "/var/run/docker.sock"


def add_arguments(parser):
    """Pass all arguments to pytest."""
    parser.usage = "./stack test [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """Build all images, then run pytest."""
    return run_in_image(["pytest", *PARALLEL, *(args.rest[1:] if args.rest[:1] == ["--"] else args.rest)])


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
