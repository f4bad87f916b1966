"""Run the project's tests, all or some of them.

Does what is missing on the way, as `up` does. The exit status is pytest's.
  ./stack test                      everything
  ./stack test tests/unit -k proxy  what pytest makes of these words
"""

from cli import base_image, build_inputs, compose, console, engine, tool_images
from cli.console import ROOT
from deploy.errors import StackError

GROUP = "Develop"
IMAGE = "test"
# Two at a time: the tests wait for containers more than they compute. A file's tests stay together. In their order:
# by default files with many tests would go first, but the longest have few, and one process would wait for the other.
PARALLEL = ["-p", "tests.parallel", "--numprocesses", "2", "--no-loadscope-reorder"]
SOCKET = "/var/run/docker.sock"


def add_arguments(parser):
    """Whatever is written behind `test` is pytest's."""
    parser.usage = "./stack test [arguments of pytest ...]"
    parser.set_defaults(takes_rest=True)


def run(args):
    """Build everything, then run pytest."""
    return run_in_image(["pytest", *PARALLEL, *(args.rest[1:] if args.rest[:1] == ["--"] else args.rest)])


def run_in_image(command, options=()):
    """Build everything, then run the command in a container that can start stacks itself.

    options: what `docker run` gets beside what every such container needs.
    """
    engine.ensure()
    socket = engine_socket(engine.endpoint())
    config = compose.config(profiles=["test"])
    base_image.ensure_for(config)
    build = compose.command("build", profiles=compose.all_profiles())
    console.run("building the images", build, env=compose.environment(), fix="./stack test")
    return tool_images.run(config["services"][IMAGE]["image"], [*_options(socket), *options], command)


def engine_socket(endpoint):
    """The engine's socket file on this machine."""
    if not endpoint.startswith("unix://"):
        raise StackError(
            f"The tests cannot use the engine at {endpoint}.",
            "They share this folder and the engine's socket with the stacks they start: all on one machine.",
            "env -u DOCKER_HOST ./stack test",
        )
    return endpoint[len("unix://") :]


def _options(socket):
    # The folder has the same path inside as outside: the stacks that the tests start mount parts of it.
    return [
        "--privileged",
        "--volume",
        f"{socket}:{SOCKET}",
        "--volume",
        f"{ROOT}:{ROOT}",
        "--workdir",
        str(ROOT),
        # Root's files have no place in the person's folder.
        "--env",
        "IMAGE_TAG",  # if it is set: the tests start what has been built
        "--env",
        "PYTEST_ADDOPTS=-o cache_dir=/tmp/pytest-cache",
        *(f"--env={name}={value}" for name, value in build_inputs.environment().items()),
    ]
