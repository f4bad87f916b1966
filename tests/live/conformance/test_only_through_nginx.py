"""The app is reachable only through Nginx: it listens on no port, and other users cannot open its socket."""

from tests.live.stack import docker, image_name, run_image

PORTS = (*range(1, 1025), 5000, 8000, 8080, 9090)  # the ports to scan; /proc/net, below, shows all of them
OPEN_PORTS = f"""if 1:
    import socket, sys
    def is_open(address):
        with socket.socket() as client:
            client.settimeout(5)
            return client.connect_ex(address) == 0
    for host in sys.argv[1:]:
        print([port for port in {PORTS} if is_open((host, port))])
"""
OPEN_SOCKET = """if 1:
    import socket
    try:
        socket.socket(socket.AF_UNIX).connect("/run/tripod/current.sock")
        print("connected")
    except OSError as error:
        print(type(error).__name__)
"""


def run_neighbour(*options: str, script: str, arguments: tuple[str, ...] = ()) -> list[str]:
    """Run a script in another container, with these options of `docker run`, and return the lines that it prints."""
    command = (image_name("nginx"), "python3", "-c", script, *arguments)
    return run_image(*options, *command).stdout.splitlines()


def address(server, service: str) -> str:
    return server.stack.inspect(service, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def test_no_port(fleet):
    """No process of the web container listens on a port, whatever its protocol."""

    def listening(server) -> list[str]:
        files = "cd /proc/net; cat tcp tcp6; sed 's/ 07 / 0A /' udp udp6"  # 07 is the state of a bound UDP socket
        lines = docker("exec", server.stack.container("web"), "sh", "-c", files).stdout.splitlines()
        # Docker's DNS server listens on 127.0.0.11.
        return [line for line in lines if " 0A " in line and "0B00007F" not in line]

    assert fleet.on_each(listening) == {server.name: [] for server in fleet.servers}


def test_sockets_are_files(fleet):
    """Each Unix socket that a server listens on is a file in one of the stack's folders. None is an abstract socket,
    which has neither owner nor mode.
    """

    def listening(server) -> set[str]:
        lines = docker("exec", server.stack.container("web"), "cat", "/proc/net/unix").stdout.splitlines()[1:]
        found = [line.split() for line in lines]
        return {fields[7] for fields in found if fields[3] == "00010000"}  # the flags of a listening socket

    for name, paths in fleet.on_each(listening).items():
        assert paths and all(path.startswith(("/run/tripod/", "/tmp/")) for path in paths), (name, paths)


def test_other_containers_reach_no_port(fleet):
    """A container in all networks of the stack finds no open port of the web container, and one port of Nginx."""

    def found(server) -> list[str]:
        networks = [f"--network={server.stack.project}_{network}" for network in ("egress", "edge")]
        hosts = (address(server, "web"), address(server, "nginx"))
        return run_neighbour(*networks, script=OPEN_PORTS, arguments=hosts)

    assert fleet.on_each(found) == {server.name: ["[]", "[8080]"] for server in fleet.servers}


def test_other_users_cannot_open_the_socket(fleet):
    """A user other than Nginx's and the app's cannot open the socket, even with access to its volume."""

    def said(server) -> list[str]:
        options = ["--network=none", f"--volume={server.stack.project}_sockets:/run/tripod"]
        users = ("12345:12345", "10002:10001")  # another user, and Nginx's user
        return [line for user in users for line in run_neighbour(*options, f"--user={user}", script=OPEN_SOCKET)]

    assert fleet.on_each(said) == {server.name: ["PermissionError", "connected"] for server in fleet.servers}
