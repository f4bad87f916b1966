"""The worker class behind Nginx: threads that each take a connection, answer its one request, and close it.

Gunicorn's gthread is made for clients of all kinds: one thread accepts and watches connections, others answer, and a
request passes between them four times. Behind Nginx each connection brings one request that is already there in full
(proxy_request_buffering, Connection: close), so nothing has to be watched: a thread that waits in accept() does all.
"""

import errno
import os
import select
import socket
import struct
import threading
import time

from gunicorn.workers.sync import SyncWorker

LOOK_EVERY = 1  # seconds in which an idle worker notices that it is to stop; gthread's is the same
NOTHING_CAME = (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR)


class Worker(SyncWorker):
    """As many threads as `threads` says, each doing what SyncWorker does alone."""

    is_draining = False

    def handle_exit(self, sig, frame):
        """SIGTERM: what Nginx has handed over already is still answered, also what waits to be accepted."""
        self.is_draining = True
        super().handle_exit(sig, frame)

    def run(self):
        [listener] = self.sockets
        # Blocking, so that the kernel wakes one thread for a connection, where a poll would wake all of every process.
        # Both settings are the socket's own, shared by the processes.
        listener.setblocking(True)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", LOOK_EVERY, 0))
        # Daemons: one that never ends must not keep the process beyond the grace.
        threads = [threading.Thread(target=self._serve, args=(listener,), daemon=True) for _ in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        while self.alive and self.is_parent_alive():
            self.wait(LOOK_EVERY)
        self.alive = False
        self._finish(threads)

    def wait(self, timeout):
        """Tells the arbiter that this process lives, then sleeps; a signal's byte in the pipe ends that."""
        self.notify()
        if select.select([self.PIPE[0]], [], [], timeout)[0]:
            os.read(self.PIPE[0], 512)

    def _finish(self, threads):
        end = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < end and (busy := [thread for thread in threads if thread.is_alive()]):
            self.notify()
            busy[0].join(LOOK_EVERY)

    def _serve(self, listener):
        while self.alive or self.is_draining and select.select([listener], [], [], 0)[0]:
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in NOTHING_CAME:
                    continue
                self.alive = False  # no more file descriptors, for one: a new process has them
                raise
            self.handle(listener, client, address)

    def handle_request(self, listener, req, client, addr):
        """Answers, and closes at once: the request has been read to its end (deploy/middleware/normalize.py), so the
        farewell that SyncWorker takes, waiting until Nginx has closed too, has nothing to wait for.
        """
        super().handle_request(listener, req, client, addr)
        client.close()
