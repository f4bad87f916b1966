"""The pages that are generated from the code: settings, commands, the promises of the tests, and .env.example.

Only the standard library. The texts depend neither on the Python version nor on the machine: argparse's own help, whose
layout differs between versions, is not used, only the actions of a parser.
"""

import argparse
import textwrap

from cli import promises
from cli.main import GROUPS, load_commands
from deploy import settings
from deploy.settings import SETTINGS, Setting

WIDTH = 120
WITHOUT_COMPOSE = {settings.FOLDERS}  # groups that .env.example leaves out: no user of Compose sets them
SET_BY_OTHERS = {"PORT", "RELEASE"}  # by a platform and by the build of an image

SETTINGS_HEAD = """# Settings

Generated from `deploy/settings.py` by `./stack docs`; do not edit.

Set a setting in the environment or in the file `.env` beside `docker-compose.yml`; the environment takes precedence.
The file `.env.example` lists the settings that users of Compose set, with their defaults, commented out: copy it to
`.env` and edit the copy.

- An empty value counts as unset.
- `NAME_FILE` is the path of a file that contains the value of `NAME`, the convention of Docker secrets. The file must
  be mounted into the containers, as a Compose secret or volume.
- `./stack` and every container check all values before anything starts. An invalid value ends a process with exit
  status 78, and all errors are printed at once, each with its cause and its fix.
- After a change run `./stack up`. For settings that only the web container reads, `./stack release` applies the change
  without dropping requests.
- A custom app gets every setting below, except those under [Sample app only](#sample-app-only), which it may use for
  something else. Every other line of `.env` reaches it unchanged.
"""

COMMANDS_HEAD = """# Commands

Generated from the commands' own help by `./stack docs`; do not edit.

`./stack` needs Python 3.10 or newer and only its standard library. `./stack help` lists the commands, and
`./stack help COMMAND` prints the help of one of them.

| exit status | meaning |
|---|---|
| 0 | success |
| 1 | failure, with `error:`, `cause:` and `fix:` |
| 2 | wrong usage: an unknown command or option |
| 78 | an invalid setting |
| 130 | interrupted by Ctrl-C |

Commands that run pytest (`test`, `prove`, `smoke`) exit with pytest's status.
"""

ENV_HEAD = """# Settings of the stack. Copy this file to .env and remove the "# " in front of the lines that you change.
#
# Generated from deploy/settings.py by ./stack docs; do not edit. Values shown are the defaults, or examples where the
# default is computed or empty. Any NAME can be given as NAME_FILE, the path of a file that contains the value.
# Compose expands $NAME in this file: write $$NAME, or put the value into single quotes.
"""

COMPOSE_SETTINGS = f"""
{"# --- Compose ".ljust(WIDTH, "-")}

# Start PostgreSQL and use it instead of SQLite.
# COMPOSE_PROFILES=postgres

# Apache alone, without Nginx (deploy/targets/apache/README.md).
# COMPOSE_FILE=docker-compose.yml:deploy/targets/apache/compose.yml
"""


# --- Settings ---------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """docs/reference/settings.md: an overview of each group, and a section for each setting."""
    parts = [SETTINGS_HEAD]
    for group, members in _settings_by_group().items():
        rows = [f"| [`{setting.name}`](#{setting.name.lower()}) | {_default(setting)} |" for setting in members]
        parts.append("\n".join([f"## {group}\n", "| setting | default |", "|---|---|", *rows, ""]))
        parts += map(_setting_section, members)
    return "\n".join(parts)


def env_example() -> str:
    """.env.example: every setting that a user of Compose sets, commented out."""
    parts = [ENV_HEAD]
    for group, members in _settings_by_group().items():
        shown = [setting for setting in members if setting.name not in SET_BY_OTHERS]
        if group not in WITHOUT_COMPOSE:
            parts += [f"# --- {group} ".ljust(WIDTH, "-") + "\n", *map(_env_lines, shown)]
    return "\n".join(parts) + COMPOSE_SETTINGS


def _settings_by_group() -> dict[str, list[Setting]]:
    groups: dict[str, list[Setting]] = {}
    for setting in SETTINGS:
        groups.setdefault(setting.group, []).append(setting)
    return groups


def _default(setting: Setting) -> str:
    """The default in Markdown."""
    if setting.default_text:
        return setting.default_text
    return f"`{setting.default}`" if setting.default else "not set"


def _setting_section(setting: Setting) -> str:
    lines = [f"### {setting.name}", "", *textwrap.wrap(setting.meaning, WIDTH), "", f"- Default: {_default(setting)}"]
    if setting.example.startswith("$("):  # a command: a shell runs it, but Compose would not run it in .env
        lines.append(f"- Example, in a shell: `export {setting.name}={setting.example}`")
    elif setting.example != setting.default:
        lines.append(f"- Example: `{setting.name}={setting.example}`")
    return "\n".join([*lines, ""])


def _env_lines(setting: Setting) -> str:
    comment = setting.meaning.replace("`", "")
    value = "" if callable(setting.default) or setting.default_text else setting.default
    if not value:
        default = _default(setting).replace("`", "")
        comment += f" Default: {default}."
        value = setting.example
    if value.startswith("$("):  # a command, which Compose would not run: its text would become the value
        comment += f" Generate one: {value[2:-1]}"
        value = ""
    lines = [f"# {line}" for line in textwrap.wrap(comment, WIDTH - 2)]
    return "\n".join([*lines, f"# {setting.name}={value}", ""])


# --- Commands ---------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """docs/reference/commands.md: the commands by group, each with its help and options."""
    modules = load_commands()
    parts = [COMMANDS_HEAD]
    for group in GROUPS:
        members = [name for name, module in modules.items() if module.GROUP == group]
        rows = [f"| [`{name}`](#{name}) | {_summary(modules[name])} |" for name in members]
        parts.append("\n".join([f"## {group}\n", "| command | what it does |", "|---|---|", *rows, ""]))
        parts += [_command_section(name, modules[name]) for name in members]
    return "\n".join(parts)


def _summary(module) -> str:
    return module.__doc__.splitlines()[0]


def _command_section(name: str, module) -> str:
    parser = argparse.ArgumentParser(prog=f"./stack {name}", add_help=False)
    module.add_arguments(parser)
    actions = parser._actions
    rows = [f"| `{_signature(action)}` | {_help(action)} |" for action in actions if _help(action)]
    table = ["| argument | meaning |", "|---|---|", *rows, ""] if rows else []
    text = [f"### {name}", "", "```", _usage(name, parser, actions), "```", "", *_markdown(module.__doc__), *table]
    return "\n".join(text)


def _usage(name: str, parser: argparse.ArgumentParser, actions: list[argparse.Action]) -> str:
    if parser.usage:
        return parser.usage
    words = [f"./stack {name}"]
    for action in sorted(actions, key=lambda action: not action.option_strings):
        word = _signature(action).split(", ")[-1]
        is_optional = action.option_strings or action.nargs in ("?", "*", argparse.REMAINDER)
        words.append(f"[{word}]" if is_optional else word)
    return "\n".join(textwrap.wrap(" ".join(words), WIDTH - 8, subsequent_indent="  ", break_on_hyphens=False))


def _signature(action: argparse.Action) -> str:
    """How an argument is written: `FILE`, `-f, --follow` or `--server NAME`."""
    value = action.metavar or action.dest.upper()
    if not action.option_strings:
        return value
    options = sorted(action.option_strings, key=len)
    return ", ".join(options) + ("" if action.nargs == 0 else f" {value}")


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default}
    return text.replace("|", "\\|")


def _markdown(text: str) -> list[str]:
    """A docstring as Markdown: indented lines and commands are examples."""
    lines, is_code = [], False
    for line in text.rstrip().splitlines():
        was_code, is_code = is_code, line.startswith(("  ", "./stack"))
        if is_code != was_code:
            lines += ["", "```sh"] if is_code else ["```", ""]
        if line.strip() != "Examples:":
            lines.append(line.removeprefix("  ") if is_code else line)
    lines += ["```"] if is_code else []
    shown = [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]
    return [*shown, ""]


# The path of each generated file in the repository, and the function that returns its text.
FILES = {
    "docs/reference/settings.md": settings_page,
    "docs/reference/commands.md": commands_page,
    "docs/reference/promises.md": promises.page,
    ".env.example": env_example,
}
