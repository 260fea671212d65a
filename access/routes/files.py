"""``/v1/files``: upload a file, to be loaded into a vector store by its id."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, File, Form, UploadFile
from starlette.responses import JSONResponse, Response

from access.context import ByCaller, InContext
from access.routes.pages import AskedPage
from access.uploads import RETENTION, Upload, Uploads
from contracts.errors import CallerError

router = APIRouter(tags=["files"])

Purpose = Literal["assistants", "user_data"]


@router.post("/v1/files")
async def create_file(
    context: InContext, caller: ByCaller, file: Annotated[UploadFile, File()], purpose: Annotated[Purpose, Form()]
) -> Response:
    """Keep a file for 30 days. FAQ files are CSV, JSON Lines or Markdown; other text is split into passages."""
    caller.require("knowledge")
    content = await file.read()
    if not content:
        raise CallerError("The file is empty.", code="invalid_file", param="file")
    upload = await Uploads(context.redis).put(caller.tenant, file.filename or "", purpose, content)
    return JSONResponse(_file(upload))


@router.get("/v1/files")
async def list_files(context: InContext, caller: ByCaller, page: AskedPage, purpose: Purpose | None = None) -> Response:
    """The tenant's files."""
    caller.require("knowledge")
    uploads = await Uploads(context.redis).list(caller.tenant)
    return JSONResponse(page.of([_file(upload) for upload in uploads if purpose in (None, upload.purpose)]))


@router.get("/v1/files/{file_id}")
async def get_file(file_id: str, context: InContext, caller: ByCaller) -> Response:
    """What is known of one file."""
    caller.require("knowledge")
    return JSONResponse(_file(await Uploads(context.redis).get(caller.tenant, file_id)))


@router.get("/v1/files/{file_id}/content")
async def get_file_content(file_id: str, context: InContext, caller: ByCaller) -> Response:
    """The bytes as they were uploaded."""
    caller.require("knowledge")
    upload = await Uploads(context.redis).get(caller.tenant, file_id)
    content = await Uploads(context.redis).content(caller.tenant, file_id)
    # Never shown by a browser as a page of ours: anybody may have written what is in it.
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(upload.name)}",
        "x-content-type-options": "nosniff",
    }
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.delete("/v1/files/{file_id}")
async def delete_file(file_id: str, context: InContext, caller: ByCaller) -> Response:
    """Forget a file; passages loaded from it stay in their vector stores."""
    caller.require("knowledge")
    await Uploads(context.redis).delete(caller.tenant, file_id)
    return JSONResponse({"id": file_id, "object": "file", "deleted": True})


def _file(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.size_bytes,
        "created_at": int(upload.created_at),
        "expires_at": int(upload.created_at + RETENTION.total_seconds()),
        "filename": upload.name,
        "purpose": upload.purpose,
        "status": "processed",
        "status_details": None,
    }
