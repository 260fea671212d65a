"""The HTTP routes, one file per resource. Each validates, calls one noun of access, and renders."""

from access.routes import (
    admin,
    chat,
    conversations,
    deadletters,
    embeddings,
    entries,
    files,
    health,
    key,
    limits,
    metrics,
    models,
    responses,
    stores,
    users,
)

ROUTERS = (
    chat.router,
    responses.asking,
    responses.router,
    conversations.router,
    users.router,
    key.router,
    stores.router,
    entries.router,
    files.router,
    models.router,
    embeddings.router,
    admin.router,
    limits.router,
    deadletters.router,
    health.router,
    metrics.router,
)
