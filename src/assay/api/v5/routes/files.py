"""Files: `/v5/files`."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import page_of
from assay.api.shared.rendering import json_response, page_response, render_identity
from assay.api.shared.services import FromServices
from assay.api.shared.uploads import read_upload
from assay.api.shared.versions import left_out, version_router
from assay.api.v5.schemas import files as wire
from assay.core.errors import RuleViolation
from assay.core.files import File
from assay.core.paging import PageRequest

router = version_router("/v5", "Files")

_FORM = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "description": "The bytes, with a filename."}},
    "required": ["file"],
}


@router.post(
    "/files",
    response_model=wire.File,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def create_file(request: Request, services: FromServices, caller: FromCaller) -> Response:
    """Upload a file. Its type is taken from its bytes. Equal bytes are stored once in an account."""
    upload = await read_upload(request, "file")
    return json_response(_render(await services.files.create(caller, upload.filename, upload.content)))


router.add_api_route(
    "/files/cloud_imports", left_out("/v5/files/cloud_imports"), methods=["POST"], include_in_schema=False
)


@router.get("/files", response_model=wire.FilePage)
async def list_files(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "filename", "size", "mime_type", "id")],
    filename: Annotated[str | None, Query(description="Part of the name, in any case.")] = None,
) -> Response:
    """The account's files."""
    found = await services.files.list(caller, page, filename or None)
    items = [_render(file) for file in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/files/{file_id}", response_model=wire.File)
async def retrieve_file(file_id: str, services: FromServices, caller: FromCaller) -> Response:
    """What is known of one file."""
    return json_response(_render(await services.files.get(caller, file_id)))


@router.get(
    "/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bytes, under the file's type."}},
)
async def retrieve_file_content(file_id: str, services: FromServices, caller: FromCaller) -> Response:
    """The file's bytes, to be saved and not shown: browsers are told not to guess and not to run anything."""
    file, pieces = await services.files.content(caller, file_id)
    headers = {
        "content-type": file.mime_type,
        "content-length": str(file.size),
        "content-disposition": _disposition(file.filename),
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(pieces, headers=headers)


@router.patch("/files/{file_id}", response_model=wire.File)
async def update_file(
    file_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateFile, Depends(JsonBody(wire.UpdateFile))],
) -> Response:
    """Replace a file's tags; nothing else of it can change."""
    if "tags" not in body.model_fields_set:
        raise RuleViolation("nothing to change: give tags")
    return json_response(_render(await services.files.update(caller, file_id, body.tags)))


@router.delete("/files/{file_id}", response_model=wire.DeletedFile)
async def delete_file(file_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Remove a file for good. Rows that name it keep the id."""
    await services.files.delete(caller, file_id)
    return json_response({"id": file_id, "object": "file", "deleted": True})


def _disposition(filename: str) -> str:
    """The name for every client: in ASCII, and in UTF-8 for those that read that."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%;' else "_" for each in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _render(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size": file.size,
        "md5_checksum": file.md5,
        "tags": file.tags,
        "duration_seconds": None,
        "created_at": file.created_at,
        "created_by": render_identity(file.created_by),
    }
