"""The process: an address, the server, and its end. Knows sockets, uvicorn and signals; the answers are others'."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from seq2seq.errors import UserError
from seq2seq.serve.application import Service, application
from seq2seq.serve.limits import CONNECTIONS, Limits
from seq2seq.serve.served import ServedModel
from seq2seq.system.signals import STOPS, handling

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""Host headers that are always allowed: nobody but this machine can be meant."""
ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""Addresses that stand for all of a machine's, each with the one by which the machine itself can open it."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at this address; port 0 is any that is free. Clients wait until it is served.

    Raises:
        UserError: there is no such address here, or another program has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen()  # another server may have bound the address too: whoever listens first has it
        except OSError:
            found.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(
            f"cannot serve at {written(host)}:{port} ({reason}): choose another --host or --port"
        ) from error
    return found


def written(host: str) -> str:
    """A host as it is written in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def serve(
    models: Sequence[ServedModel], place: socket.socket, host: str, others: Sequence[str], limits: Limits
) -> None:
    """Answer requests until SIGINT or SIGTERM; then finish those that have come, within ``limits.ending`` seconds.

    Args:
        place: where clients come, as ``bound`` made it for ``host``.
        others: further names by which requests may call this server.
    """
    service = Service(models, limits)
    server_of(service, place, host, others).run([place])
    service.batcher.stop()
    if not service.batcher.join(1):  # torch still computes what nobody waits for; Python could not end around it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def server_of(service: Service, place: socket.socket, host: str, others: Sequence[str]) -> Server:
    """The server, which does not run yet. Arguments as those of ``serve``."""
    limits = service.limits
    address, port = place.getsockname()[:2]
    hosts = [*LOCAL, *([] if address in ANY else [written(host)]), *others]
    config = Config(
        application(service, hosts),
        http=_protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=math.ceil(limits.reading),
        timeout_graceful_shutdown=limits.ending + 2,
    )
    where = f"http://{ANY.get(address, written(host))}:{port}/"
    return _Server(config, service, f"{', '.join(service.names)}: {where} (Ctrl+C ends)")


class _Server(Server):
    """Says where it is once it answers, and leaves signals to ``system.signals``."""

    def __init__(self, config: Config, service: Service, greeting: str) -> None:
        super().__init__(config)
        self.service, self.greeting = service, greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.greeting, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does it; but what has no answer after ``limits.ending`` seconds is answered 503, not cut off."""
        late = asyncio.get_running_loop().call_later(self.service.limits.ending, self.service.batcher.stop)
        await super().shutdown(sockets)
        late.cancel()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """End in order at the first signal, at once at a second SIGINT; uvicorn would raise it again at the end."""
        with handling(self.handle_exit, signal.SIGINT, *STOPS):
            yield


class _Impatient(H11Protocol):
    """uvicorn's HTTP, without patience for clients that send or read a little at a time."""

    limits = Limits()
    deadline: asyncio.TimerHandle | None = None  # of a request whose head is not here yet
    unread: asyncio.TimerHandle | None = None  # looks again at an answer that was not taken at once

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if not self.transport.get_write_buffer_size():
            self._forget_unread()
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        self._forget_unread()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.unread is None:
            self._await_reading()

    def _await_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(self.limits.sending, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _await_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        self.unread = self.loop.call_later(self.limits.reading, self._drop_unread, left) if left else None

    def _drop_unread(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > max(before - self.limits.slowest, 0):
            self.transport.abort()
        else:
            self._await_reading()

    def _forget_unread(self) -> None:
        if self.unread is not None:
            self.unread.cancel()
            self.unread = None


def _protocol(limits: Limits) -> type[H11Protocol]:
    """The protocol with these limits."""
    return type("Impatient", (_Impatient,), {"limits": limits})
