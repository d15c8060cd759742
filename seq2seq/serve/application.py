"""The page and the API as an ASGI application. Knows HTTP; the models are behind a queue, see ``batching``.

Nothing is read from disk for a request: the page, its styles and its scripts are texts in memory, made at the start.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seq2seq.errors import complaint
from seq2seq.models.kernels.linear import prepacked_weights
from seq2seq.serve.batching import Answers, Batcher
from seq2seq.serve.limits import Limits, Refusal
from seq2seq.serve.messages import Asked, read
from seq2seq.serve.page import assets
from seq2seq.serve.protection import NamedHosts, SecurityHeaders
from seq2seq.serve.served import Key, ServedModel

TOLD = ("texts", "characters", "tokens", "body", "beam", "queue")  # limits that a client can keep to
CLIENT_GONE = 499  # nobody reads the status of such an answer


class Service:
    """The endpoints, with the models and their queue."""

    def __init__(self, models: Sequence[ServedModel], limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.names = [model.name for model in models]
        told = {name: asdict(limits)[name] for name in TOLD}
        self.described = {"models": [model.described() for model in models], "limits": told}
        self.assets = assets(self.described)
        budget = min(model.options.batch_tokens for model in models)
        self.batcher = Batcher(self._work, limits.queue, budget, prepacked_weights)

    def _work(self, key: Any, texts: Sequence[str]) -> list[dict[str, Any]]:
        return self.models[key.model].answers(texts, key.wanted, key.maps)

    async def asset(self, request: Request) -> Response:
        """The page, or a part of it."""
        kind, content = self.assets[request.scope["path"].removeprefix("/")]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    async def list_models(self, request: Request) -> Response:
        """The models and the limits."""
        return JSONResponse(self.described)

    async def health(self, request: Request) -> Response:
        """200 while there is a thread that works, else 503; and how much waits."""
        batcher = self.batcher
        state = {
            "status": "ok" if batcher.works else "stopped",
            "waiting": batcher.length,
            "most_waiting": batcher.most_waiting,
            "answered": batcher.answered,
            "batches": batcher.batches,
        }
        return JSONResponse(state, 200 if batcher.works else 503)

    async def translate(self, request: Request) -> Response:
        """Translate by each of the models that are asked."""
        began = time.monotonic()
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "the content-type must be application/json")  # no form of another site can send it
        try:
            asked = read(await self._body(request), self.names, self.limits)
            found = await self._answers(request, asked)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        models = [
            {"model": self.names[number], "translations": answers}
            for number, answers in zip(asked.models, found, strict=True)
        ]
        seconds = round(time.monotonic() - began, 4)
        if not asked.wanted.attention:
            return JSONResponse({"models": models, "seconds": seconds})
        content = await anyio.to_thread.run_sync(encoded, models, seconds)  # the event loop answers others meanwhile
        return Response(content, media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        limit, body = self.limits.body, bytearray()
        too_large = Refusal(413, f"a body of more than {limit:,} bytes")
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > limit:
            raise too_large
        try:
            with anyio.fail_after(self.limits.sending):
                async for part in request.stream():
                    body += part
                    if len(body) > limit:
                        raise too_large
        except TimeoutError as error:
            raise Refusal(408, "the request was not sent in time") from error
        return bytes(body)

    async def _answers(self, request: Request, asked: Asked) -> list[Answers]:
        """The answers of each model. If the client goes, or waits too long, its tasks leave the queue."""
        sized = [self._sized(number, asked) for number in asked.models]
        tasks: list[asyncio.Future[Answers]] = []
        gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(request))
        try:
            for key, size in sized:
                tasks.append(self.batcher.submit(key, asked.texts, size))
            answers: asyncio.Future[Any] = asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.wait({answers, gone}, timeout=self.limits.answering, return_when=asyncio.FIRST_COMPLETED)
            if answers.done():
                return [_unless_failed(outcome) for outcome in answers.result()]
            if gone.done():
                raise ClientDisconnect
            raise Refusal(503, "there was no answer in time: try again later", 5)
        finally:
            for task in (gone, *tasks):
                task.cancel()

    def _sized(self, number: int, asked: Asked) -> tuple[Key, int]:
        """The key of a model's task and its size in tokens; attention counts by its share of ``Limits.weights``.

        The weights that are told, of target words, are about as many as those between source tokens.

        Raises:
            Refusal: 413, more tokens than a request may have; as ``search_options`` and ``lengths_of``.
        """
        model, wanted = self.models[number], asked.wanted
        model.search_options(wanted)
        lengths = model.lengths_of(asked.texts)
        tokens, maps = sum(lengths), len(model.map_names)
        if tokens > self.limits.tokens:
            raise Refusal(413, f"texts of {tokens:,} tokens: at most {self.limits.tokens:,} in a request")
        if not (wanted.attention and maps):
            return Key(number, wanted), tokens
        weights, most = sum(length**2 for length in lengths), self.limits.weights
        if weights > most:
            return Key(number, wanted, "none"), tokens
        told = weights if weights * maps > most else weights * maps
        return Key(number, wanted, "mean" if told < weights * maps else "all"), max(
            tokens, self.batcher.budget * told // most
        )


def encoded(models: Sequence[dict[str, Any]], seconds: float) -> bytes:
    """An answer as JSON, translation by translation: only between two of them can another thread go on."""
    parts = []
    for model in models:
        translations = ",".join(map(_json, model["translations"]))
        parts.append(f'{{"model":{_json(model["model"])},"translations":[{translations}]}}')
    return f'{{"models":[{",".join(parts)}],"seconds":{_json(seconds)}}}'.encode()


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def application(service: Service, hosts: Sequence[str]) -> SecurityHeaders:
    """The application, which answers requests for these ``hosts`` alone (the names without a port)."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        service.batcher.stop()
        await anyio.to_thread.run_sync(service.batcher.join, 1.0)

    paths = [f"/{name}" for name in service.assets]
    routes = [
        *(Route(path, service.asset, methods=["GET"]) for path in paths),
        Route("/api/models", service.list_models, methods=["GET"]),
        Route("/api/translate", service.translate, methods=["POST"]),
        Route("/health", service.health, methods=["GET"]),
    ]
    guard = Middleware(NamedHosts, hosts)
    handlers: Any = {Refusal: _refused, HTTPException: _no_such, Exception: _failed}
    return SecurityHeaders(Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan))


def _unless_failed(outcome: Answers | BaseException) -> Answers:
    if isinstance(outcome, asyncio.CancelledError):
        raise Refusal(503, "the server is stopping", 5)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: Request, error: Refusal) -> Response:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.status == 408:
        headers["connection"] = "close"
    return JSONResponse({"error": str(error)}, error.status, headers)


async def _no_such(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": complaint(error) or "a fault of the server, see its terminal"}, 500)
