"""Composition: the one place where the parts of access are made and meet."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from access import problems
from access.admission import Admission
from access.answer import Answering
from access.asides import Asides
from access.auth import SCOPES, KeyRing
from access.busy_sessions import BusySessions
from access.collections import NamedCollections
from access.context import Context
from access.embedding import StreamEmbedder
from access.estimating import Estimating
from access.finished_turns import keep_finished_turns
from access.fleet import Fleet
from access.garbage import collect_in_steps
from access.guard import Guard
from access.learning import Learning
from access.mailbox import Mailbox
from access.pace import Pace
from access.recalling import Recalling
from access.retries import Retries
from access.routes import ROUTERS, docs, page
from access.routes.bodies import PATIENCE_FACTOR
from access.session_watch import SessionWatch
from access.settings import AccessSettings
from access.stored import StoredRequests
from access.stream_pushes import PushReader
from access.submission import Submissions
from access.summarising import Summarising
from contracts import connection, logs
from contracts.errors import PenstockError
from contracts.functions import LearnedFacts, Library, Protocol, Pushes, PushQuota, Replicas, Summaries
from contracts.ids import AccessId, Shard, TenantId, new_process_id
from memory import History, Profiles, Sessions
from rag.catalog import new_collection_id
from rag.knowledge import Knowledge
from rag.settings import RagSettings

VERSION = "0.1.0"
EMBEDDING_DIMENSIONS = 384
REOPEN_PAUSE_SECONDS = 2.0
SHUTDOWN_SECONDS = 10.0
READABLE_HEADERS = ("x-request-id", "retry-after", "retry-after-ms")
"""What a page of another origin may read of an answer's headers."""
OTHER_READS = 4
"""Standing reads besides one per shard: verdicts, sessions, pushes, and one for a connection that is being replaced."""

log = logs.get()


def create_app(settings: AccessSettings, rag_settings: RagSettings) -> FastAPI:
    """The application of one access process."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with running(settings, rag_settings) as context:
            app.state.context = context
            gc.collect()
            gc.freeze()  # what is there now stays: to look through it again and again held up streams for 100 ms
            yield

    app = FastAPI(
        title="Penstock", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json"
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    docs.install(app)
    page.install(app)
    app.add_middleware(Guard, max_body_bytes=settings.max_body_bytes, max_upload_bytes=settings.max_upload_bytes)
    if settings.origins:
        # Outside of the guard, so that a page may also read why it was refused. No cookies: a key is what counts.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=READABLE_HEADERS,
        )
    return app


@contextlib.asynccontextmanager
async def running(settings: AccessSettings, rag_settings: RagSettings) -> AsyncGenerator[Context]:
    """Everything a process needs, with its standing tasks; if one of them ends, the process stops on purpose."""
    access = AccessId(new_process_id("access"))
    commands = connection.commands(settings.redis_url)
    reads = connection.blocking(settings.redis_url, connections=settings.shards + OTHER_READS)
    await connection.verify(commands)
    context = compose(access, settings, rag_settings, commands, reads)
    await context.library.load()
    await _bootstrap_key(context)
    shards = [Shard(number) for number in range(settings.shards)]
    for shard in shards:
        await context.mailbox.open(shard)
    await context.fleet.look()
    standing: dict[str, Coroutine[Any, Any, None]] = {
        "fleet": context.fleet.watch(),
        "admission": context.admission.run(),
        "mailbox.look": context.mailbox.look(),
        "sessions.listen": context.watch.listen(),
        "sessions.look": context.watch.look(),
        "asides": context.asides.run(context.answering),
        "garbage": collect_in_steps(lambda: context.mailbox.open_requests),
        "knowledge": _open_knowledge(context),
    }
    if settings.publishers:
        standing["pushes"] = PushReader(context, reads).run()
    if settings.watched_tenants:
        standing["turns"] = keep_finished_turns(commands, shards, settings.watched_tenants)
    for shard in shards:
        standing[f"mailbox.read {shard}"] = context.mailbox.read(shard)
        standing[f"mailbox.keep {shard}"] = context.mailbox.keep(shard)
        standing[f"waiting.keep {shard}"] = context.submissions.keep(shard)
    tasks = [asyncio.create_task(_stand(name, work), name=name) for name, work in standing.items()]
    log.info("access.started", sentence="Access is up.", process=access, version=VERSION)
    try:
        yield context
    finally:
        await _finish(context.background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await context.knowledge.close()
        await commands.aclose()
        await reads.aclose()


def compose(
    access: AccessId, settings: AccessSettings, rag_settings: RagSettings, commands: Any, reads: Any
) -> Context:
    """Make the parts; nothing runs yet."""
    library = Library(commands)
    kept = settings.conversation_length
    protocol = Protocol(library, Replicas(settings.replicas) if settings.replicas else None, kept)
    fleet = Fleet(commands)
    mailbox = Mailbox(commands, reads, protocol, access, Pace(settings.hold_at_most))
    stored = StoredRequests(commands)
    retries = Retries(commands, stored, settings.shards)
    submissions = Submissions(protocol, stored, access, settings.queue_bound)
    embedder = StreamEmbedder(
        protocol=protocol,
        mailbox=mailbox,
        fleet=fleet,
        access=access,
        model=settings.embedding_model,
        dimensions=EMBEDDING_DIMENSIONS,
    )
    knowledge = Knowledge.connect(rag_settings, embedder)
    admission = Admission(commands, reads, access)
    history, profiles = History(commands, kept), Profiles(commands)
    estimating = Estimating(fleet, settings.default_answer_tokens)
    summarising = Summarising(estimating, Summaries(library))
    patience = settings.patience * PATIENCE_FACTOR["batch"]
    learned = LearnedFacts(library)
    learning = Learning(settings.learned_facts, estimating, learned)
    asides = Asides([summarising.due, learning.due], patience=patience, deadline=settings.deadline)
    busy_sessions = BusySessions(commands, protocol, stored, mailbox, history)
    answering = Answering(
        access=access,
        admission=admission,
        recalling=Recalling(profiles, history, estimating),
        retriever=knowledge.retriever,
        named_collections=NamedCollections(knowledge),
        retrieval_deadline=rag_settings.deadline,
        estimating=estimating,
        submissions=submissions,
        busy_sessions=busy_sessions,
        mailbox=mailbox,
        retries=retries,
        on_submitted=asides.note,
    )
    return Context(
        id=access,
        settings=settings,
        redis=commands,
        library=library,
        protocol=protocol,
        keys=KeyRing(commands, settings.pepper.get_secret_value(), settings.trusted_proxies),
        admission=admission,
        estimating=estimating,
        answering=answering,
        asides=asides,
        submissions=submissions,
        retries=retries,
        stored=stored,
        mailbox=mailbox,
        fleet=fleet,
        sessions=Sessions(commands, settings.conversation_retention),
        history=history,
        watch=SessionWatch(history, reads),
        pushes=Pushes(library, kept),
        push_quota=PushQuota(library, settings.publisher_pushes_per_minute, settings.user_pushes_per_hour),
        profiles=profiles,
        learned=learned,
        knowledge=knowledge,
        embedder=embedder,
    )


async def _bootstrap_key(context: Context) -> None:
    chosen = context.settings.bootstrap_key
    if chosen is not None:
        await context.keys.create("bootstrap", context.settings.default_tenant, SCOPES, key=chosen.get_secret_value())


async def _open_knowledge(context: Context) -> None:
    """Milvus and the embedder may come later than access, and must not hold up answers that need no knowledge.

    The first search of all is slow everywhere on its way, and would miss the deadline of whoever asks it: it is ours.
    """
    while True:
        try:
            await context.knowledge.open()
            await context.knowledge.retriever.find(TenantId("warm-up"), [new_collection_id()], "warm-up")
        except PenstockError as error:
            log.warning("knowledge.unreachable", sentence=error.message)
            await asyncio.sleep(REOPEN_PAUSE_SECONDS)
        else:
            context.knowledge_ready.set()
            await asyncio.Event().wait()


async def _stand(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        log.critical("access.stopping", sentence=f"The task '{name}' ended; access stops.", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)
        raise


async def _finish(background: set[asyncio.Task[Any]]) -> None:
    """Let what outlives its HTTP request come to its end; what does not in time is stopped."""
    if background:
        await asyncio.wait(background, timeout=SHUTDOWN_SECONDS)
    for task in list(background):
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
