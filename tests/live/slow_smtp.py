"""A mail server that greets its clients after 2 s, and prints the recipient of each mail that it has accepted."""

import socketserver
import time

GREETS_AFTER = 2  # seconds


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        time.sleep(GREETS_AFTER)
        self.answer("220 mail.example ESMTP")
        recipient = ""
        for line in self.rfile:
            command = line.decode().strip()
            if command.upper().startswith("RCPT TO:"):
                recipient = command[len("RCPT TO:") :]
            if command.upper() == "DATA":
                self.answer("354 go on")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                print(f"accepted for {recipient}", flush=True)
            self.answer("250 ok")

    def answer(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


with socketserver.ThreadingTCPServer(("", 2525), Session) as server:
    server.serve_forever()
