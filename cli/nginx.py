"""What the Nginx container shows: the active web container and its connections.

Nginx shares the folder of the sockets with the web containers. The connections themselves can be listed only in
Nginx's own network namespace.
"""

from dataclasses import dataclass

from cli import compose, console
from deploy.errors import StackError
from deploy.handover import LINK
from deploy.settings import load_settings

FOLDER = load_settings({}, only={"RUNTIME_DIRECTORY"})["RUNTIME_DIRECTORY"]  # its default: a volume is mounted there
LISTENING = "01"  # the state of a listening socket in /proc/net/unix; connections have other states


@dataclass(frozen=True)
class NginxContainer:
    """The running Nginx container of a project."""

    id: str

    @classmethod
    def of(cls, project):
        """Find the running Nginx container of a project; raise StackError if there is none."""
        for container in compose.containers(project):
            if container.service == "nginx" and container.state == "running":
                return cls(container.id)
        raise StackError(
            "Nginx does not run, so a web container cannot hand over.",
            "A handover changes the link that Nginx follows. Without Nginx (the stack is not running, or uses Apache "
            "alone), the server can only be stopped and started.",
            "./stack up",
        )

    def active(self):
        """(hostname, since): the container that current.sock points to, and the Unix time of its promotion."""
        link = f"{FOLDER}/{LINK}"
        words = self._run("sh", "-c", f"readlink {link} && stat -c %Y {link}").split()
        return (words[0].removesuffix(".sock"), int(words[1])) if len(words) == 2 else ("", 0)

    def connections(self, hostname):
        """The number of connections from Nginx to a container's socket, including those in its backlog.

        Linux lists both ends of a Unix connection in the network namespace of the client. The server's end has the
        path of its socket. https://man7.org/linux/man-pages/man5/proc_net.5.html
        """
        rows = [line.split() for line in self._run("cat", "/proc/net/unix").splitlines()]
        return sum(1 for row in rows if row[-1] == f"{FOLDER}/{hostname}.sock" and row[5] != LISTENING)

    def _run(self, *command):
        return console.capture(["docker", "exec", self.id, *command]).stdout
