"""./stack reads .env exactly as Docker Compose does."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli import dotenv
from deploy.errors import EXIT_CONFIG, StackError, StackErrors

SHELL = {"SHOP": "shop", "EMPTY": ""}

# Text of a .env file → the variables that it sets, with SHELL in the shell.
FILES = {
    "A=1": {"A": "1"},
    "A = 1\n\n  B=2\n": {"A": "1", "B": "2"},
    "export A=1\nexport  B=2\n": {"A": "1", "B": "2"},
    "A: yaml": {"A": "yaml"},
    "A=a b c": {"A": "a b c"},
    "A==b": {"A": "=b"},
    "A=": {"A": ""},
    "A=\"\"\nB=''": {"A": "", "B": ""},
    "\ufeffA=1\r\nB='2'\r\nC=\r\n": {"A": "1", "B": "2", "C": ""},
    "# A=0\nA=1 # one\n  # two": {"A": "1"},
    "A=1#2": {"A": "1#2"},
    "A= # no comment": {"A": "# no comment"},
    "A='x # y' # z": {"A": "x # y"},
    'A="x"B=2': {"A": "x", "B": "2"},
    "A='two\nlines'\nB=2": {"A": "two\nlines", "B": "2"},
    "A='it\\'s'": {"A": "it's"},
    'A="a\\nb\\tc\\\\d\\"e\\cf"': {"A": 'a\nb\tc\\d"e\\cf'},
    'A="\\012\\0123\\0777"': {"A": "\\12S\\777"},
    "A=x\\ny": {"A": "x\\ny"},
    "A=$SHOP/x": {"A": "shop/x"},
    "A=1\nB=$A-${A}": {"A": "1", "B": "1-1"},
    "SHOP=file\nA=$SHOP": {"SHOP": "file", "A": "shop"},
    "A='$SHOP'": {"A": "$SHOP"},
    'A="$SHOP"': {"A": "shop"},
    'A="\\$SHOP"': {"A": "$SHOP"},
    'A="\\\\$SHOP"': {"A": "\\shop"},
    "A=$$SHOP": {"A": "$SHOP"},
    "A=100$": {"A": "100$"},
    "A=$1": {"A": "$1"},
    "A=$UNSET-": {"A": "-"},
    "A=${UNSET:-x}": {"A": "x"},
    "A=${EMPTY:-x}${EMPTY-y}": {"A": "x"},
    "A=${SHOP:+x}${UNSET:+y}${EMPTY+z}": {"A": "xz"},
    "A=${SHOP:?is required}": {"A": "shop"},
    "A=${UNSET:-${SHOP:-x}}y${UNSET:-z}": {"A": "shopyz"},
    "A=${UNSET:-{a}b}": {"A": "{a}b"},
    "A=${SHOP:-x:?y}": {"A": "shop"},
    "SHOP\nUNSET\nA=1": {"SHOP": "shop", "A": "1"},
    "a.b-c=1": {"a.b-c": "1"},
    "\u00c9=\u00e9\u00a0": {"\u00c9": "\u00e9"},
}

# What Compose refuses, and the line in which it is.
REFUSED = {
    "A=1\nB='hunter2": 2,
    "A='1\n2'\nB=\"hunter2\\\"": 3,
    "A B=hunter2": 1,
    "A;B=hunter2": 1,
    "=hunter2": 1,
    "A=1\nB": 2,
    "A=hunter2${": 1,
    "A=${1}hunter2": 1,
    "A=${UNSET:?}hunter2": 1,
}


def _config(folder: Path, service: dict) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` on a project with one service for each file."""
    (folder / "compose.yml").write_text(json.dumps({"services": service}))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **SHELL}
    command = ["docker", "compose", "config", "--format", "json"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("text", "expected"), FILES.items(), ids=map(repr, FILES))
def test_values(text, expected):
    """Quotes, escapes, comments, spaces, `export`, several lines and substitutions in .env mean what Compose means."""
    assert {one.name: one.value for one in dotenv.assignments(text, SHELL)} == expected


@pytest.mark.needs("docker compose")
def test_values_are_those_of_compose(tmp_path):
    """Docker Compose itself reads the same values from each file of the table."""
    services = {}
    for number, text in enumerate(FILES):
        (tmp_path / f"{number}.env").write_text(text, newline="")
        services[f"s{number}"] = {"image": "x", "env_file": f"{number}.env"}
    done = _config(tmp_path, services)
    assert done.returncode == 0, done.stderr
    read = [json.loads(done.stdout)["services"][name].get("environment", {}) for name in services]
    # The output doubles each $, so that Compose could read it again. An unset `NAME` alone is null.
    assert [{k: v.replace("$$", "$") for k, v in one.items() if v is not None} for one in read] == [*FILES.values()]


@pytest.mark.parametrize(("text", "line"), REFUSED.items(), ids=map(repr, REFUSED))
def test_unreadable_line_is_an_error(text, line):
    """A line that Compose cannot read is an error that names the line, but shows no part of a value."""
    with pytest.raises(StackError) as raised:
        dotenv.assignments(text, SHELL)
    assert raised.value.error == f"Line {line} of .env cannot be read." and raised.value.status == EXIT_CONFIG
    assert "hunter2" not in str(raised.value)


@pytest.mark.needs("docker compose")
@pytest.mark.parametrize("text", REFUSED, ids=map(repr, REFUSED))
def test_compose_refuses_it_too(text, tmp_path):
    """Docker Compose itself refuses each file that ./stack refuses."""
    (tmp_path / ".env").write_text(text)
    assert _config(tmp_path, {"web": {"image": "x"}}).returncode != 0


@pytest.mark.parametrize("value", ["hun$ter2x", '"hun$ter2x"', "hun${ter2x}", "a#hun$ter2x # $$"])
def test_dollar_in_env_file_is_an_error(value, tmp_path, monkeypatch):
    """A $ that Compose would replace by nothing is an error that names setting and line, but no part of the value."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text(f"A=1\nSECRET_KEY={value}\n")
    with pytest.raises(StackErrors) as raised:
        dotenv.require_known_variables({})
    assert "SECRET_KEY: the value in line 2" in str(raised.value)
    assert not any(part in str(raised.value) for part in ("hun", "ter2x"))


@pytest.mark.parametrize(
    "value", ["'hun$ter2'", "hun$$ter2", '"hun\\$ter2"', "${B:-x}", "$A/x", "$HOME", "100$", "x # $B"]
)
def test_dollar_in_env_file_that_compose_keeps(value, tmp_path, monkeypatch):
    """Quoted and doubled dollars, defaults and variables that are set are valid in .env."""
    monkeypatch.setattr(dotenv, "PATH", tmp_path / ".env")
    dotenv.PATH.write_text(f"A=1\nC={value}\n")
    dotenv.require_known_variables({"HOME": "/root"})
