"""One client address against the rest: connections, searches, uploads and slow requests of one do not stop the others.

The attacker is a container with an address of its own in Nginx's network. The other clients connect from this machine.
"""

import asyncio
import subprocess
import time

import pytest

from tests.live.reliability import load
from tests.live.stack import docker, image_name

SECTION = "Greedy and slow clients"
CLIENTS = 8  # with slow views they wait for as many requests as one address may have in the queue

# What the attacker runs: `open(number)` keeps so many connections open, and renews those that Nginx closes.
ATTACKER = """if 1:
    import resource, selectors, socket, sys, time
    host, number, seconds, head = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, limit), limit))
    head = head.encode().decode("unicode_escape").encode() + b"x" * int(sys.argv[5])
    selector, held, opened, end = selectors.DefaultSelector(), 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(min(100, number - held)):
            connection = socket.socket()
            connection.settimeout(2)
            try:
                connection.connect((host, 8080))
                connection.sendall(head)
            except OSError:
                connection.close()
                continue
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, time.monotonic())
            held, opened = held + 1, opened + 1
        if opened:
            print("attacking", flush=True)
        for key, _ in selector.select(0.02):
            try:
                more = key.fileobj.recv(65536)
            except OSError:
                more = b""
            if not more:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                held -= 1
        for key in list(selector.get_map().values()):
            if sys.argv[5] != "0" and time.monotonic() - key.data > 1:
                try:
                    key.fileobj.send(b"x")
                except OSError:
                    pass
                selector.modify(key.fileobj, selectors.EVENT_READ, time.monotonic())
    print("opened", opened, flush=True)
"""

ENDLESS = "POST /x HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 10000000\\r\\n\\r\\n"
# Name → connections, what each sends, and how many bytes of a body. A slow body then gets a byte per second.
ATTACKS = {
    "half-sent headers": (8300, "GET / HTTP/1.1\\r\\nHost: x\\r\\nX: ", 0),
    "slow views": (150, "GET /sleep/1 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n", 0),
    "held uploads": (100, ENDLESS, 200_000),
    "slow bodies": (500, ENDLESS, 1),
}


@pytest.fixture(scope="module")
def stack(make_stack):
    """A stack with the default limits."""
    stack = make_stack("probe.yml", RELEASE_COMMAND="true", CLIENT_REQUESTS="32")
    stack.up()
    return stack


def attack(stack, seconds: float, number: int, head: str, body: int) -> subprocess.Popen[str]:
    """Start the attacker in Nginx's network, and wait until it has opened connections."""
    (network,) = stack.inspect("nginx", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}").split()
    words = ["docker", "run", "--rm", "--init", "--label", "com.docker.compose.project=", "--network", network]
    words += ["--entrypoint", "python3", image_name("web"), "-c", ATTACKER]
    words += [load.address(stack), str(number), str(seconds), head, str(body)]
    attacker = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert attacker.stdout.readline() == "attacking\n"
    return attacker


@pytest.mark.parametrize("name", ATTACKS)
def test_one_address_does_not_stop_the_others(stack, name, is_long, record):
    """While one address attacks, no request of the others fails, to the app or for a file."""
    seconds = 60 if is_long else 6
    host = load.address(stack)
    with attack(stack, seconds + 3, *ATTACKS[name]) as attacker:
        end, answers = time.monotonic() + seconds, []
        while time.monotonic() < end:
            answers += asyncio.run(load.closed_loop(host, "/x", CLIENTS, 1))
        said = attacker.communicate(timeout=60)[0]
    opened = int(said.split()[-1])
    failed = sum(answer.status != 200 for answer in answers)
    remark = f"{opened:,} connections of the attacker; 99 % in {load.percentile(answers, 0.99):.2f} s"
    record(SECTION, f"requests of others while one address attacks: {name}", len(answers), failed, remark)
    assert opened >= min(ATTACKS[name][0], 1000), said[-300:]
    assert len(answers) >= CLIENTS
    assert failed == 0, [answer.status for answer in answers if answer.status != 200][:5]


def test_uploads_of_one_address_hold_little_disk(stack):
    """Uploads that one address keeps open hold at most CLIENT_REQUESTS bodies on Nginx's disk."""
    nginx = stack.container("nginx")
    number, head, body = ATTACKS["held uploads"]
    with attack(stack, 6, number, head, body):
        time_limit, held = time.monotonic() + 30, []
        while not held and time.monotonic() < time_limit:
            listed = docker("exec", nginx, "sh", "-c", "ls -l /proc/[0-9]*/fd 2>/dev/null | grep /body/", check=False)
            held = listed.stdout.splitlines()
    assert 0 < len(held) <= 32
