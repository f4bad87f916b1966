"""deploy/raw_output.py: what a server and its child processes print becomes JSON lines, to the last one."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from deploy import raw_output
from deploy.settings import ROOT
from tests.support.wsgi import CLEAN

CAPTURE = "import os, subprocess, sys; from deploy import raw_output; raw_output.capture('server', 1, 2)\n"


def start(code: str) -> subprocess.Popen:
    """A process that captures its output and then runs the code."""
    command = [sys.executable, "-c", CAPTURE + code]
    env = {**CLEAN, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(code: str) -> tuple[int, list[dict]]:
    """The exit status of the code and its output, of which every line must be JSON in ASCII."""
    with start(code) as process:
        stdout, stderr = process.communicate(timeout=30)
    assert (stdout + stderr).isascii()
    return process.returncode, [json.loads(line) for line in (stdout + stderr).splitlines()]


def messages(code: str) -> list[str]:
    return [line["message"] for line in run(code)[1]]


def test_fields_of_a_line():
    """A line has time, level, logger, message and an empty request id."""
    _, [line] = run("os.write(1, b'hello\\n')")
    assert line.pop("time").startswith("20")
    assert line == {"level": "INFO", "logger": "server", "message": "hello", "request_id": ""}


def test_output_of_child_processes():
    """Both streams of child processes, and of their children, are captured."""
    shown = messages("subprocess.run('echo out; echo err >&2; sh -c \"echo deeper\"', shell=True)")
    assert shown == ["out", "deeper", "err"]  # the lines of stdout first


def test_streams_stay_apart():
    """Lines of stdout are written to stdout, those of stderr to stderr."""
    with start("subprocess.run('echo out; echo err >&2', shell=True)") as process:
        out, err = process.communicate(timeout=30)
    assert (json.loads(out)["message"], json.loads(err)["message"]) == ("out", "err")


def test_output_of_the_container():
    """What a program writes to the streams of process 1, such as /proc/1/fd/1, becomes JSON too."""
    assert messages("open(f'/proc/{os.getppid()}/fd/1', 'w').write('from outside\\n')") == ["from outside"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"invalid \xff\n", "invalid \\xff"),
        (
            b'quote " backslash \\ tab \t escape \x1b[31m zero \x00\n',
            'quote " backslash \\ tab \t escape \x1b[31m zero \x00',
        ),
        ("caf\u00e9 \u2028 \u0085\n".encode(), "caf\u00e9 \u2028 \u0085"),
        (b"with carriage return\r\n", "with carriage return"),
        (b"no end", "no end"),
        (b'{"almost": json}\n', '{"almost": json}'),
        (b'{"no": NaN}\n', '{"no": NaN}'),
        (b"[1, 2]\n", "[1, 2]"),
    ],
)
def test_any_bytes_become_json(written, message):
    """Any bytes become JSON without a control character: invalid UTF-8, Unicode's separators, text that is not JSON."""
    assert messages(f"os.write(1, {written!r})") == [message]


def test_deep_json_is_text():
    """An object that is nested too deeply for a parser becomes the text of a line."""
    line = b'{"a":' * 10_000
    assert json.loads(raw_output.as_json(line, "x"))["message"] == line.decode()


def test_json_lines_stay_as_they_are():
    """A JSON object passes unchanged; if it is not ASCII, it is escaped."""
    assert raw_output.as_json(b'{"a":  1}', "x") == b'{"a":  1}'
    assert raw_output.as_json('{"a":"\u2028\u00e9"}'.encode(), "x") == b'{"a": "\\u2028\\u00e9"}'


@pytest.mark.parametrize("line", [b'{"a":\r1}', b'{"a":\t1}', b'{"a":"\x7f"}'])
def test_no_line_contains_a_control_character(line, tmp_path):
    """JSON permits some control characters, which a terminal would obey: they are escaped or left out."""
    with (tmp_path / "log").open("wb") as file:
        raw_output.write(file.fileno(), raw_output.as_json(line, "x"))
    written = (tmp_path / "log").read_text()
    assert written.isprintable()
    assert json.loads(written) == json.loads(line)


@pytest.fixture
def mask(monkeypatch):
    """raw_output.mask with MASKED_PATHS=/reset/,/a/b/."""
    pattern = f"({raw_output.masked_path_pattern('/reset/,/a/b/')})"
    monkeypatch.setattr(raw_output, "_SECRET_IN_PATH", re.compile(pattern + r'[^\s"\\?#]+'))
    return raw_output.mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /reset/tok.en-1 (id)", "GET /reset/*** (id)"),
        ('"path": "/x/reset/tok/en"', '"path": "/x/reset/***"'),
        ("/%72eset%2Ftok", "/%72eset%2F***"),
        ("/a/b/tok?x=1", "/a/b/***?x=1"),
        ("/reset", "/reset"),
        ("/presets/1", "/presets/1"),
        ("postgresql://user:pass@host/db", "postgresql://***@host/db"),
        ("mail to a@b.example", "mail to a@b.example"),
    ],
)
def test_secrets_are_masked(mask, text, masked):
    """What follows a path of MASKED_PATHS, and name and password in a URL, become `***`."""
    assert mask(text) == masked


def test_query_strings_of_servers_are_masked(mask):
    """Query strings are masked in the lines of servers, as in the access log; an app may log its own."""
    assert mask("GET /x?password=1 HTTP/1.1", queries=True) == "GET /x?*** HTTP/1.1"
    assert json.loads(raw_output.as_json(b"open() /x?a=1 failed", "nginx"))["message"] == "open() /x?*** failed"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("2026/11/28 03:43:44 [emerg] 7#7: bind() failed", "CRITICAL"),
        ("2026/11/28 03:43:44 [warn] 7#7: a client request body is buffered", "WARNING"),
        ("[error] AH00094", "ERROR"),
        ("[core:notice] [pid 1] AH00094", "INFO"),
        ("plain text", "INFO"),
    ],
)
def test_level_of_nginx_and_apache(text, level):
    """The level in brackets, which Nginx and Apache write, becomes the level of the line."""
    assert json.loads(raw_output.as_json(text.encode(), "x"))["level"] == level


def test_long_line_is_split():
    """A line of a million characters becomes JSON lines of at most 128 KiB each, without losing any."""
    found = messages("sys.stdout.write('x' * 1_000_000 + '\\n')")
    assert "".join(found) == "x" * 1_000_000
    assert max(map(len, found)) <= 2 * raw_output.MAX_LINE


@pytest.mark.parametrize("status", [0, 1, 78])
def test_exit_status_and_last_line(status):
    """The exit status is that of the server, and a line that it writes just before its end is not lost."""
    for _ in range(10):
        assert run(f"os.write(2, b'fatal\\n'); os._exit({status})")[0] == status
    assert messages(f"os.write(2, b'fatal\\n'); os._exit({status})") == ["fatal"]


def test_server_that_is_killed_exits_with_its_signal():
    """A server that a signal kills has the exit status 128 plus the signal, as in a shell."""
    assert run("os.kill(os.getpid(), 9)")[0] == 137


@pytest.mark.parametrize("number", raw_output.FORWARDED, ids=lambda number: number.name)
def test_signals_reach_the_server(number):
    """Each signal by which the servers are controlled reaches the server."""
    code = f"""
import signal
signal.signal({number.value}, lambda *_: os._exit(7))
os.write(1, b'ready\\n')
signal.pause(); signal.pause()
"""
    with start(code) as process:
        assert b"ready" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=10) == 7


def test_early_signal_reaches_the_server():
    """A signal that arrives while the process is being split, here just before execv(), ends the server too."""
    early = "import os\nexecv = os.execv\nos.execv = lambda *args: (os.kill(os.getpid(), 15), execv(*args))\n"
    reader, writer = os.pipe()
    command = [sys.executable, "-c", early + CAPTURE + "import time; time.sleep(60)"]
    with subprocess.Popen(command, env={**CLEAN, "PYTHONPATH": str(ROOT)}, pass_fds=[writer]) as process:
        os.close(writer)
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
    assert select.select([reader], [], [], 10)[0], "the server is still running"
    os.close(reader)


def test_orphans_are_reaped():
    """Processes whose parent has exited leave no zombie behind, as in any container with an init process."""
    code = """
import ctypes, time
def children():
    return open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()
subprocess.run("true & exec true", shell=True)
deadline = time.monotonic() + 10
while len(children()) > 1 and time.monotonic() < deadline:
    time.sleep(0.05)
os._exit(len(children()))
"""
    subreaper = "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"  # as if it were process 1
    env = {**CLEAN, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", subreaper + CAPTURE + code], env=env, timeout=30).returncode == 1


def test_lines_of_several_processes_never_mix():
    """Lines longer than PIPE_BUF from several processes stay whole, even if the reader of the log is slow."""
    code = """
for number in range(4):
    if not os.fork():
        for _ in range(200):
            raw_output.write(9, b'{"message": "' + bytes([97 + number]) * 9000 + b'"}\\n')
        os._exit(0)
for _ in range(4):
    os.wait()
"""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", f"import os; os.dup2({writer}, 9)\n" + CAPTURE.split(";")[0] + "\n"]
    command[2] += "from deploy import raw_output\n" + code
    process = subprocess.Popen(command, env={**CLEAN, "PYTHONPATH": str(ROOT)}, pass_fds=[writer])
    os.close(writer)
    log = b""
    while part := os.read(reader, 5000):
        log += part
        time.sleep(0.0001)
    os.close(reader)
    assert process.wait(timeout=10) == 0
    found = [json.loads(line)["message"] for line in log.splitlines()]
    assert len(found) == 800 and all(len(set(message)) == 1 for message in found)


def test_broken_log_does_not_raise():
    """Writing to a log that is closed, or whose reader has exited, is ignored."""
    reader, writer = os.pipe()
    os.close(reader)
    raw_output.write(writer, b"nobody reads this\n")
    os.close(writer)
    raw_output.write(writer, b"closed\n")


def test_small_process():
    """The process that reads the output has less than 16 MB, most of it shared with other Python processes."""
    _, [line] = run("os.write(1, open(f'/proc/{os.getppid()}/status').read().split('VmRSS:')[1].split()[0].encode())")
    assert int(line["message"]) < 16_000
