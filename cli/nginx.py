"""What Nginx's container tells: who serves, how many requests are inside, how they were answered.

Nginx shares the sockets' folder with the web containers, and its end of each connection with nobody.
"""

import json
import time
from dataclasses import dataclass

from cli import compose, console
from deploy.errors import StackError

FOLDER = "/run/tripod"
LINK = f"{FOLDER}/current.sock"
LISTENING = "01"  # the state of a socket in /proc/net/unix; a connection has another


@dataclass(frozen=True)
class NginxContainer:
    """The container of Nginx."""

    container: str

    @classmethod
    def of(cls, project):
        """The running Nginx of a project, or a StackError."""
        found = [one for one in compose.containers(project) if one.service == "nginx" and one.state == "running"]
        if not found:
            raise StackError(
                "No Nginx of this stack runs here, so nothing can be handed over.",
                "A new container takes over by a link that Nginx follows; without Nginx (not started yet, or Apache "
                "alone) there is only a stop and a start.",
                "./stack up",
            )
        return cls(found[0].id)

    def serving(self):
        """(host, since): the host name of the container that current.sock leads to, and the Unix time since when."""
        asked = self._run("sh", "-c", f"readlink {LINK} && stat -c %Y {LINK}").split()
        return (asked[0].removesuffix(".sock"), int(asked[1])) if len(asked) == 2 else ("", 0)

    def connections(self, host):
        """How many connections Nginx has to a container's socket, those that nobody has accepted yet included.

        Linux lists both ends of a Unix connection in the network namespace of the side that connected, the accepting
        end under its socket's path.
        """
        rows = [line.split() for line in self._run("cat", "/proc/net/unix").splitlines()]
        return sum(1 for row in rows if row[-1] == f"{FOLDER}/{host}.sock" and row[5] != LISTENING)

    def answers(self, since, until=None):
        """(all, bad): how many requests reached a web container in this time, and how many of them ended as 5xx."""
        span = ["--since", f"{since:.3f}", "--until", f"{until or time.time():.3f}"]
        lines = console.capture(["docker", "logs", *span, self.container]).stdout.splitlines()
        statuses = [status for line in lines for status in _app_status(line)]
        return len(statuses), sum(status >= 500 for status in statuses)

    def _run(self, *command):
        return console.capture(["docker", "exec", self.container, *command]).stdout


def _app_status(line):
    """What the web container answered, by a line of the access log; nothing if Nginx answered alone."""
    try:
        status = json.loads(line).get("app_status", "").split()[-1:]
    except (ValueError, AttributeError):
        return []
    return [int(word) for word in status if word.isdigit()]
