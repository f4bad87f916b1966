"""The worker class behind Nginx: each thread accepts a connection, answers its single request, and closes it.

Gunicorn's gthread supports all kinds of clients: one thread accepts and watches connections, others answer, and a
request is passed between them four times. Behind Nginx each connection has exactly one request, which has already been
received completely (proxy_request_buffering, Connection: close). So there is nothing to watch, and a single thread that
waits in accept() can do everything.
"""

import errno
import os
import select
import socket
import struct
import threading
import time

from gunicorn.workers.sync import SyncWorker

from deploy import worker_process

STOP_INTERVAL = 1  # seconds between the checks of an idle worker whether it should stop, as in gthread
NO_CONNECTION = (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR)


class Worker(SyncWorker):
    """Runs `threads` threads, each of which does the work of a SyncWorker."""

    is_draining = False

    def handle_exit(self, sig, frame):
        """SIGTERM: answer the connections that exist, including those that have not been accepted yet.

        A process that stops alone (deploy/worker_process.py) leaves these to the other processes and its replacement.
        """
        self.is_draining = not worker_process.is_stopping
        super().handle_exit(sig, frame)

    def run(self):
        [listener] = self.sockets
        # Blocking, so that the kernel wakes one thread per connection; poll() would wake all threads of all processes.
        # Both options belong to the socket, which the processes share.
        listener.setblocking(True)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", STOP_INTERVAL, 0))
        # Daemon threads, since a stuck thread must not keep the process running after SHUTDOWN_GRACE.
        threads = [threading.Thread(target=self._serve, args=(listener,), daemon=True) for _ in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        while self.alive and self.is_parent_alive():
            self.wait(STOP_INTERVAL)
        self.alive = False
        self._finish(threads)

    def wait(self, timeout):
        """Send the heartbeat to the arbiter, then sleep until a signal writes to the pipe or the time is over."""
        self.notify()
        if select.select([self.PIPE[0]], [], [], timeout)[0]:
            os.read(self.PIPE[0], 512)

    def _finish(self, threads):
        end = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < end and (busy := [thread for thread in threads if thread.is_alive()]):
            self.notify()
            busy[0].join(STOP_INTERVAL)

    def _serve(self, listener):
        """Answer requests until the worker stops.

        An exception that ends the thread ends the process too: the other threads finish their requests, and the arbiter
        starts a new process, which has all threads.
        """
        try:
            self._answer_connections(listener)
        except BaseException:
            self.alive = False
            raise  # threading.excepthook logs it (deploy/logs.py)

    def _answer_connections(self, listener):
        while self.alive or self.is_draining and select.select([listener], [], [], 0)[0]:
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in NO_CONNECTION:
                    continue
                raise  # for example no free file descriptor: a new process has some
            self.handle(listener, client, address)

    def handle_request(self, listener, req, client, addr):
        """Answer the request and close the connection at once.

        SyncWorker would wait until Nginx has closed it too, for the sake of unread data. There is none:
        deploy/middleware/normalize.py reads every request to its end.
        """
        super().handle_request(listener, req, client, addr)
        client.close()
