"""The parts of the repository and what they may import from each other. (Tests may import everything.)"""

import ast
import re
import sys
from pathlib import Path

import pytest

from deploy.settings import ROOT
from tests.support.repository import tracked

# From the lowest to the highest layer: a module imports from its own layer and from lower ones only. A name includes
# its submodules, unless a longer name in the table fits better; `name.*` means the submodules alone.
LAYERS = {
    "runtime": """
        deploy.errors  deploy.setting_checks  deploy.resources  deploy.assets  deploy.host_header  deploy.raw_output
        deploy.certificates  deploy.worker_process  deploy.network  deploy.websocket_paths
        deploy.settings
        deploy.app_process  deploy.state  deploy.logs  deploy.heartbeat  deploy.server_process  deploy.snapshot
        deploy.breaking_migrations
        deploy.own_requests
        deploy.handover  deploy.descriptors
        deploy.smoke_check  deploy.middleware
        deploy.wsgi
        deploy.start  deploy.release  deploy.exec  deploy.health  deploy.servers  deploy.targets  nginx
    """,
    "command line": """
        cli.console  cli.archive  cli.processes  cli.promises  cli.proxy  cli.requirements
        cli.dotenv  cli.folders  cli.git  cli.ports  cli.postgres  cli.sudo
        cli.apt  cli.build_inputs  cli.venv
        cli.compose  cli.engine
        cli.base_image  cli.nginx  cli.packages  cli.project  cli.tool_images
        cli.native
        cli.local_tests
        cli.deployment  cli.rollout  cli.doctor  cli.heroku
        cli.commands
        cli.main  cli.commands.help
        cli.reference  cli.commands.docs
    """,
    "sample app": """
        app.*
        app.account
        app.blog
        app.api  app.admin
        app  app.seed  app.wsgi
    """,
}
EMPTY_PACKAGES = {"deploy", "cli", "cli.commands"}  # they have no layer; cli.main looks for commands in cli.commands

# Commands of shell scripts, Dockerfiles and Python strings: python3 -m cli.requirements
RUN_MODULE = re.compile(r"python[\d.]*[\"', ]+-m[\"', ]+([A-Za-z_][\w.]*)")


def module_name(path: Path) -> str:
    """The name under which a file is imported; scripts without a suffix have one too."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def python_files() -> dict[str, Path]:
    """The Python files of the repository without the tests, by module name."""
    files = {}
    for path in tracked():
        if path.relative_to(ROOT).parts[0] == "tests":
            continue
        if path.suffix == ".py" or not path.suffix and path.read_bytes().startswith(b"#!/usr/bin/env python3"):
            files[module_name(path)] = path
    return files


FILES = python_files()


def imported_names(name: str, path: Path) -> set[str]:
    """The modules and names that a file imports, anywhere in the file."""
    names = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*parents, *filter(None, [node.module])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def module_of(name: str) -> str:
    """The module of the repository that defines an imported name; empty for other packages."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name


IMPORTS = {
    name: {module for imported in imported_names(name, path) if (module := module_of(imported)) not in ("", name)}
    for name, path in FILES.items()
}


def belongs_to(module: str, package: str) -> bool:
    """Whether the module is the package or a part of it."""
    return module == package or module.startswith(f"{package}.")


def run_modules(path: Path) -> set[str]:
    """The modules that a text file runs with `python3 -m`."""
    return set(RUN_MODULE.findall(path.read_bytes().decode(errors="replace")))


def uses_of(package: str, *folders: str) -> dict[str, set[str]]:
    """The files of the folders that import the package or run it with `python3 -m`, and the modules they use."""
    uses = {}
    for path in tracked():
        file = path.relative_to(ROOT)
        if file.parts[0] in folders and path.suffix != ".md":
            is_python = FILES.get(module_name(path)) == path
            modules = run_modules(path) | (IMPORTS[module_name(path)] if is_python else set())
            used = {module for module in modules if belongs_to(module, package)}
            if used:
                uses[file.as_posix()] = used
    return uses


def test_scan_covers_each_kind_of_file():
    """The scan of this test finds imports of scripts without a suffix, and modules that are run by strings."""
    assert "deploy.settings" in IMPORTS["nginx.start"] & IMPORTS["deploy.start"]
    assert {"deploy.middleware.errors", "deploy.middleware.normalize"} <= IMPORTS["deploy.middleware"]
    assert "deploy.assets" in run_modules(ROOT / "Dockerfile")
    assert RUN_MODULE.findall("""["python3", "-m", "cli.one"] 'python3 -m cli.two'""") == ["cli.one", "cli.two"]


def test_runtime_does_not_use_the_cli():
    """deploy/ and nginx/ run in containers and on platforms, without cli/: neither Python files nor scripts use it."""
    assert uses_of("cli", "deploy", "nginx") == {}


def test_sample_app_can_be_replaced():
    """The stack does not depend on app/. Only the workload of the benchmark and the defaults of settings name it."""
    parts = {path.relative_to(ROOT).parts[0] for path in tracked()} - {"app", "tests", "docs"}
    uses = uses_of("app", *parts)
    assert set(uses) <= {"bench/workload/workload.py", "deploy/settings.py"}
    assert not any(belongs_to(module, "app") for module in IMPORTS["deploy.settings"])


def test_app_uses_neither_stack_nor_cli():
    """app/ is an ordinary app that runs without the rest of the repository."""
    assert uses_of("deploy", "app") == uses_of("cli", "app") == uses_of("bench", "app") == {}


def test_no_import_cycles():
    """No module imports itself by way of others, so that each can be read, tested and imported alone."""
    done, path, cycles = set(), [], []

    def visit(module: str) -> None:
        if module in path:
            cycles.append([*path[path.index(module) :], module])
        elif module not in done:
            path.append(module)
            for imported in sorted(IMPORTS[module]):
                visit(imported)
            path.pop()
            done.add(module)

    for module in sorted(IMPORTS):
        visit(module)
    assert cycles == []


def layers(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def layer_of(module: str, table: str) -> int | None:
    """The number of the layer with the longest name that includes the module."""
    fits = []
    for number, names in enumerate(layers(table)):
        for name in names:
            package = name.removesuffix(".*")
            if belongs_to(module, package) and not (name.endswith(".*") and module == package):
                fits.append((len(name), number))
    return max(fits)[1] if fits else None


@pytest.mark.parametrize("part", LAYERS)
def test_no_import_from_a_higher_layer(part):
    """A module imports only from its own layer and from lower layers."""
    table = LAYERS[part]
    upward = [
        f"{module} imports {imported}"
        for module in IMPORTS
        for imported in IMPORTS[module]
        if module not in EMPTY_PACKAGES and imported not in EMPTY_PACKAGES
        if None not in (layers_of := (layer_of(module, table), layer_of(imported, table)))
        if layers_of[0] < layers_of[1]
    ]
    assert upward == []


def test_every_module_has_a_layer():
    """The table covers every module of the runtime, the CLI and the sample app."""
    missing = [
        module
        for module in IMPORTS
        if module.partition(".")[0] in ("deploy", "nginx", "cli", "app") and module not in EMPTY_PACKAGES
        if all(layer_of(module, table) is None for table in LAYERS.values())
    ]
    assert missing == []


@pytest.mark.parametrize("folder", ["cli", "deploy"])
def test_operator_machine_needs_only_python_3_10(folder):
    """What ./stack imports on the operator's machine has the syntax of Python 3.10."""
    used = [name for name in IMPORTS if belongs_to(name, folder)]
    assert used
    for name in used:
        ast.parse(FILES[name].read_text(), feature_version=(3, 10))


def test_operator_machine_needs_no_packages():
    """./stack runs with the standard library alone: cli/ and the deploy modules that it imports need no packages."""
    reached, waiting = set(), {name for name in FILES if belongs_to(name, "cli")} | {"stack"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= IMPORTS[name] - reached
    foreign = {
        f"{name} imports {imported}"
        for name in reached
        for node in ast.parse(FILES[name].read_text()).body  # at import time
        for imported in top_level_imports(node)
        if imported not in sys.stdlib_module_names | {"cli", "deploy"}
    }
    assert foreign == set()


def top_level_imports(node: ast.stmt) -> set[str]:
    """The first parts of the names that an import statement of the top level imports."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {node.module.partition(".")[0]}
    return set()
