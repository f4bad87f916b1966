"""The generated pages: each equals what the code says, and none leaves anything out."""

import argparse
import pkgutil
import re
import types

import pytest

from cli import commands, reference
from deploy import settings
from deploy.settings import ROOT, SETTINGS, load_settings


@pytest.mark.parametrize("name", reference.FILES)
def test_generated_pages_are_up_to_date(name):
    """The file is what ./stack docs writes now."""
    assert (ROOT / name).read_text() == reference.FILES[name](), "run ./stack docs"


def test_settings_page_has_every_setting():
    """Each setting has a section, in the order of its declaration within its group."""
    sections = re.findall(r"^### (\w+)$", reference.settings_page(), re.M)
    assert len(sections) == len(set(sections))
    assert set(sections) == {setting.name for setting in SETTINGS}


def test_settings_page_has_meaning_and_default():
    """The section of a setting has its declared meaning and default."""
    page = reference.settings_page()
    assert "### WEB_THREADS\n\nThreads per worker process.\n\n- Default: `4`\n" in page
    assert "- Default: one per CPU, if memory suffices\n- Example: `WEB_CONCURRENCY=2`\n" in page


def test_env_example_has_what_a_user_sets():
    """Every setting is there once, except folders and what platforms or builds set."""
    names = re.findall(r"^# ([A-Z_]+)=", reference.env_example(), re.M)
    left_out = {setting.name for setting in SETTINGS if setting.group == settings.FOLDERS} | reference.SET_BY_OTHERS
    compose = {"COMPOSE_PROFILES", "COMPOSE_FILE"}
    assert len(names) == len(set(names))
    assert set(names) - compose == {setting.name for setting in SETTINGS} - left_out


def test_env_example_sets_nothing():
    """Copied to .env, the file changes nothing: every line is a comment."""
    assert [line for line in reference.env_example().splitlines() if line and not line.startswith("#")] == []


def test_env_example_has_valid_values():
    """Each line is valid when its "# " is removed."""
    names = {setting.name for setting in SETTINGS}
    for line in re.findall(r"^# ([A-Z_]+=.*)$", reference.env_example(), re.M):
        name, _, value = line.partition("=")
        if name in names:
            load_settings(
                {name: value, "ALLOWED_HOSTS": "example.com"} if name == "SMTP_URL" else {name: value}, {name}
            )


def test_commands_page_has_every_command():
    """Each command has a section."""
    sections = re.findall(r"^### (\w+)$", reference.commands_page(), re.M)
    assert sorted(sections) == sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def add_arguments(parser):
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file")
    parser.add_argument("--follow", "-f", action="store_true", help="keep showing")
    parser.add_argument("--port", type=int, default=5000, metavar="N", help="default: %(default)s")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...")


def test_command_section():
    """A section has usage, description, examples and a row for each argument that has a help."""
    text = "Show a | file.\n\nMore about it.\n\nExamples:\n  ./stack show          all\n  ./stack show FILE     one\n"
    module = types.SimpleNamespace(__doc__=text, add_arguments=add_arguments)
    assert reference._command_section("show", module) == (
        "### show\n\n```\n./stack show [--follow] [--port N] [FILE] [COMMAND ...]\n```\n\n"
        "Show a | file.\n\nMore about it.\n\n"
        "```sh\n./stack show          all\n./stack show FILE     one\n```\n\n"
        "| argument | meaning |\n|---|---|\n| `FILE` | the file |\n| `-f, --follow` | keep showing |\n"
        "| `--port N` | default: 5000 |\n"
    )
