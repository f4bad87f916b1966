"""A client that sends exactly the given bytes and returns all responses, one at a time."""

import socket
import uuid
from dataclasses import dataclass, field

TIMEOUT = 2.0  # seconds; a complete request is answered within them
CANARY = b"GET /canary/%s HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool  # False if the connection ended before the body was complete

    def get(self, name: str) -> str | None:
        """Return the header's values, joined, or None without such a header."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


@dataclass
class Answer:
    """The responses on one connection, and whether the canary (see `ask`) got its own response."""

    responses: list[Response] = field(default_factory=list)
    canary: str = "not sent"

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(response.status for response in self.responses)


class Silence(Exception):
    """The server sent nothing within the timeout."""


class Connection:
    """A TCP connection to Nginx with a timeout for each read."""

    def __init__(self, port: int, timeout: float = TIMEOUT):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._timeout, self._buffer = timeout, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send data. Ignore that the server has closed the connection: it may already have responded."""
        try:
            self._socket.settimeout(10)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self) -> bool:
        """Read once into the buffer. Return False at the end of the connection."""
        self._socket.settimeout(self._timeout)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise Silence from None
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def read_some(self) -> None:
        """Read the first bytes of a response. Raise Silence if none arrive."""
        self._receive()

    def read_until(self, mark: bytes) -> None:
        """Read until these bytes have arrived, and keep them for read(). Raise Silence if they do not arrive."""
        while mark not in self._buffer:
            if not self._receive():
                raise Silence

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._receive():
                return None
        text, _, self._buffer = self._buffer.partition(mark)
        return text

    def _exactly(self, length: int) -> tuple[bytes, bool]:
        while len(self._buffer) < length:
            if not self._receive():
                break
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        return data, len(data) == length

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        while (size := self._until(b"\r\n")) is not None:
            length = int(size, 16)
            part, whole = self._exactly(length + 2)
            if not whole or not length:
                return body + part[:length], whole
            body += part[:length]
        return body, False

    def _rest(self) -> tuple[bytes, bool]:
        while self._receive():
            pass
        data, self._buffer = self._buffer, b""
        return data, True

    def read(self, head: bool = False) -> Response | None:
        """Read the next response. Return None at the end of the connection; raise Silence if nothing arrives."""
        text = self._until(b"\r\n\r\n")
        if text is None:
            # An HTTP/0.9 response has no headers.
            rest, self._buffer = self._buffer, b""
            return Response(0, (), rest, True) if rest else None
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        status, fields = int(first.split()[1]), dict(headers)
        if head or status in (204, 304) or status < 200:
            body, whole = b"", True
        elif fields.get("transfer-encoding") == "chunked":
            body, whole = self._chunks()
        elif "content-length" in fields:
            body, whole = self._exactly(int(fields["content-length"]))
        else:
            body, whole = self._rest()
        return Response(status, headers, body, whole)


def ask(port: int, payload: bytes, timeout: float = TIMEOUT) -> Answer:
    """Send the payload, read one response, then send a canary and read until the connection ends.

    The canary is a request with a nonce. Client and server agree on where requests end only if the nonce comes back
    once, in the last response.
    """
    answer, nonce = Answer(), uuid.uuid4().hex
    with Connection(port, timeout) as connection:
        connection.send(payload)
        try:
            if not _read_into(answer, connection, payload.startswith(b"HEAD ")):
                answer.canary = "closed"
                return answer
            if answer.responses[-1].get("connection") != "close":
                answer.canary = "sent"
                connection.send(CANARY % nonce.encode())
            while _read_into(answer, connection):
                pass
        except Silence:
            answer.canary += ", open"
            return answer
    return _judge(answer, nonce)


def _read_into(answer: Answer, connection: Connection, head: bool = False) -> bool:
    response = connection.read(head)
    while response and 100 <= response.status < 200:
        answer.responses.append(response)
        response = connection.read(head)
    if response:
        answer.responses.append(response)
    return response is not None


def _judge(answer: Answer, nonce: str) -> Answer:
    """Remove the canary's response from the others. It is "foreign" if it is not the last one or has another nonce."""
    bodies = [response.body.decode("latin-1") for response in answer.responses]
    canaries = [body for body in bodies if body.startswith("/canary/")]
    if canaries == [f"/canary/{nonce}"] and bodies[-1] == canaries[0]:
        answer.canary = "own"
        answer.responses.pop()
    elif canaries:
        answer.canary = "foreign"
    elif answer.canary == "not sent":
        answer.canary = "closed"
    else:
        answer.canary = "refused"
    return answer
