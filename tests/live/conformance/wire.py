"""A client that sends exactly the bytes it is given and tells everything that comes back, one response at a time."""

import socket
import uuid
from dataclasses import dataclass, field

PATIENCE = 2.0  # seconds in which a complete request is answered; who waits longer has not got one
CANARY = b"GET /canary/%s HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool  # False: the connection ended before the body did

    def get(self, name: str) -> str | None:
        """The header's values, joined; None if it did not come."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


@dataclass
class Answer:
    """What came back on one connection: the responses, and whether the request sent behind them got its own."""

    responses: list[Response] = field(default_factory=list)
    canary: str = "not sent"

    @property
    def statuses(self) -> tuple[int, ...]:
        return tuple(response.status for response in self.responses)


class Silence(Exception):
    """Nothing more came in time."""


class Connection:
    """A TCP connection to Nginx, with a deadline on each read."""

    def __init__(self, port: int, patience: float = PATIENCE):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._patience, self._buffer = patience, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends; who has answered already may have stopped reading, which the answer tells better."""
        try:
            self._socket.settimeout(10)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self) -> bool:
        """One more read into the buffer; False at the end of the connection."""
        self._socket.settimeout(self._patience)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise Silence from None
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def read_some(self) -> None:
        """The beginning of an answer; Silence when nothing comes."""
        self._receive()

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self._buffer:
            if not self._receive():
                return None
        taken, _, self._buffer = self._buffer.partition(mark)
        return taken

    def _exactly(self, length: int) -> tuple[bytes, bool]:
        while len(self._buffer) < length:
            if not self._receive():
                break
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken, len(taken) == length

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
        taken, self._buffer = self._buffer, b""
        return taken, True

    def read(self, head: bool = False) -> Response | None:
        """The next response; None at the end of the connection, Silence when nothing comes."""
        text = self._until(b"\r\n\r\n")
        if text is None:
            # An answer in the manner of HTTP/0.9 has no head.
            rest, self._buffer = self._buffer, b""
            return Response(0, (), rest, True) if rest else None
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        status, known = int(first.split()[1]), dict(headers)
        if head or status in (204, 304) or status < 200:
            body, whole = b"", True
        elif known.get("transfer-encoding") == "chunked":
            body, whole = self._chunks()
        elif "content-length" in known:
            body, whole = self._exactly(int(known["content-length"]))
        else:
            body, whole = self._rest()
        return Response(status, headers, body, whole)


def ask(port: int, payload: bytes, patience: float = PATIENCE) -> Answer:
    """Sends the payload, reads one response, then sends a request with a nonce and reads to the connection's end.

    The nonce tells whether client and server still agree on where a request ends: it must come back once, last.
    """
    answer, nonce = Answer(), uuid.uuid4().hex
    with Connection(port, patience) as connection:
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
    return _judged(answer, nonce)


def _read_into(answer: Answer, connection: Connection, head: bool = False) -> bool:
    response = connection.read(head)
    while response and 100 <= response.status < 200:
        answer.responses.append(response)
        response = connection.read(head)
    if response:
        answer.responses.append(response)
    return response is not None


def _judged(answer: Answer, nonce: str) -> Answer:
    """Takes the canary's response off the others; "foreign" if it is not the last one, or not its own."""
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
