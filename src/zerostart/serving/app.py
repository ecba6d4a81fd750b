"""The REST API and the page: what each address answers. All boxes are in pixels of the upright original picture."""

import mimetypes
import os
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from zerostart.datasets.pictures import MOST_PIXELS
from zerostart.serving import wire
from zerostart.serving.guards import BoundedBody, SameOriginAndToken, SecurityHeaders
from zerostart.serving.judgements import Verdict, checked
from zerostart.serving.options import CaseFilters, Label, Number, Text
from zerostart.serving.refusals import Refusal, of_disk
from zerostart.serving.service import Service
from zerostart.serving.store import Store, sha256_of
from zerostart.serving.telemetry import Telemetry, Timed, resident
from zerostart.serving.uploads import FORM, MOST_BYTES, read_upload
from zerostart.serving.worth import worth

PAGE = Path(__file__).parent / "page"
mimetypes.add_type("application/manifest+json", ".webmanifest")  # which many systems do not know, and nosniff needs
CROP_ID = r"[\w-]{1,200}"
ERROR = {
    "description": "One sentence",
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        }
    },
}


class JPEG(Response):
    media_type = "image/jpeg"


REFUSED: dict[int | str, dict[str, Any]] = {status: ERROR for status in (400, 401, 403, 404, 408, 413, 415, 422, 500, 503, 507)}


def make_app(service: Service, store: Store, token: str | None = None) -> ASGIApp:
    """The application. token: who does not give it gets nothing under /v1; None where it is reached from this machine only."""
    telemetry = Telemetry()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(title="zerostart", version="1", docs_url=None, redoc_url=None, lifespan=lifespan, responses=REFUSED)
    _errors(app)
    _inspections(app, service, store)
    _verdicts(app, store)
    _cases(app, service, store)
    _state(app, service, store, telemetry)
    _page(app)
    # Around all of it, as FastAPI answers a defect outside of what is added by `add_middleware`; the last is met first.
    guarded = SameOriginAndToken(BoundedBody(app, MOST_BYTES), token)
    return Timed(SecurityHeaders(guarded), telemetry)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
        said = problem["msg"].removeprefix("Value error, ")
        return Refusal(422, f"{where}: {said}" if where else said).answer

    @app.exception_handler(HTTPException)
    async def known(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=499)  # which nobody reads; nginx's number in its logs

    @app.exception_handler(OSError)
    @app.exception_handler(sqlite3.Error)
    async def disk(_: Request, error: OSError | sqlite3.Error) -> JSONResponse:
        refused = of_disk(error)
        if refused is None:
            raise error
        return refused.answer

    @app.exception_handler(Exception)
    async def defect(_: Request, __: Exception) -> JSONResponse:
        return Refusal(500, "this request met a defect of the server, which its log describes").answer


def _inspections(app: FastAPI, service: Service, store: Store) -> None:
    @app.post("/v1/inspections", openapi_extra=FORM, response_model=wire.Inspection)
    async def inspect(request: Request) -> JSONResponse:
        """Look at a picture: detections with reasons, the nearest cases, tags."""
        # Into memory only in its turn: who waits, or is told to come again, has taken none.
        async with read_upload(request, store) as upload, service.place(), upload.in_memory() as file:
            size, pixels = await service.decode(file, "pixels")
            try:
                look = upload.look.model_dump()
                reply = await service.ask({"do": "inspect", "size": size, "look": look}, [pixels])
            finally:
                os.close(pixels)
            picture_id = await run_in_threadpool(sha256_of, file)
            answer = {"id": picture_id, **reply}
            answer["picture"] |= {"file_name": upload.name}
            answer["part"] = upload.look.part
            await run_in_threadpool(store.add_picture, picture_id, file)
            temperatures = (service.about or {}).get("temperatures", {})
            number = await run_in_threadpool(store.add_inspection, answer, worth(answer, temperatures))
        return JSONResponse(answer | {"number": number})

    @app.get("/v1/inspections/{picture_id}", response_model=wire.Inspection)
    async def inspection(picture_id: str, number: Annotated[Number | None, Query()] = None) -> JSONResponse:
        """The newest answer about a picture, or the one with a number."""
        found, answer = await _stored(store, picture_id, number)
        return JSONResponse(answer | {"number": found})

    @app.get("/v1/inspections/{picture_id}/picture", response_class=JPEG)
    async def picture(picture_id: str) -> Response:
        """The picture, upright, as a JPEG that is encoded anew: no byte of what was sent."""
        await _stored(store, picture_id)
        async with service.place():
            with _opened(store, picture_id) as content:
                _, file = await service.decode(content.fileno(), "jpeg")
        with open(file, "rb") as stream:
            stream.seek(0)
            jpeg = await run_in_threadpool(stream.read)
        return JPEG(jpeg, headers={"Cache-Control": "private, max-age=31536000, immutable"})


def _verdicts(app: FastAPI, store: Store) -> None:
    @app.post("/v1/inspections/{picture_id}/verdict", status_code=201, response_model=wire.Judged)
    async def judge(picture_id: str, verdict: Verdict) -> JSONResponse:
        """Append a verdict on an inspection of a picture, the newest by default; all are kept, the newest one counts."""
        number, answer = await _stored(store, picture_id, verdict.number)
        said = checked(verdict, answer)
        n = await run_in_threadpool(store.add_verdict, picture_id, number, said)
        return JSONResponse({"verdict": n, "inspection": picture_id}, 201)

    @app.get("/v1/inspections/{picture_id}/verdict", response_model=wire.StoredVerdict)
    async def judgement(picture_id: str) -> JSONResponse:
        """The newest verdict on a picture."""
        found = await run_in_threadpool(store.verdict, _picture_id(picture_id))
        if found is None:
            raise Refusal(404, "no verdict on this picture was given")
        return JSONResponse(found)

    @app.get("/v1/next", response_model=list[wire.Next])
    async def following(limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> JSONResponse:
        """Inspected pictures without a verdict, those first from which most is learned."""
        return JSONResponse(await run_in_threadpool(store.next, limit))


def _cases(app: FastAPI, service: Service, store: Store) -> None:
    @app.get("/v1/cases", response_model=wire.Cases)
    async def cases(
        inspection: str | None = None,
        number: Annotated[Number | None, Query()] = None,
        detection: Annotated[str | None, Query(max_length=40)] = None,
        text: Text | None = None,
        k: Annotated[int, Query(ge=1, le=50)] = 5,
        zone: Annotated[list[Label], Query()] = [],  # noqa: B006
        damage: Annotated[list[Label], Query()] = [],  # noqa: B006
        severity: Annotated[list[Label], Query()] = [],  # noqa: B006
        part: Label | None = None,
    ) -> JSONResponse:
        """The cases on record nearest to a detection's crop, to a whole inspected picture, or to a sentence."""
        filters = CaseFilters(
            zone=[value for value in zone if value],  # a form that was not filled in sends empty ones
            damage=[value for value in damage if value],
            severity=[value for value in severity if value],
            part=part or None,
        ).model_dump()
        inspection, text, detection = inspection or None, text or None, detection or None
        message = {"do": "cases", "k": k, "filters": filters, "text": text, "box": None}
        if (inspection is None) == (text is None):
            raise Refusal(422, "either `inspection` or `text` is expected")
        if inspection is None:
            async with service.place():
                return JSONResponse(await service.ask(message))
        _, answer = await _stored(store, inspection, number)
        if detection is not None:
            message["box"] = _box(answer, detection)
        async with service.place():
            with _opened(store, inspection) as content:
                message["size"], pixels = await service.decode(content.fileno(), "pixels")
            try:
                return JSONResponse(await service.ask(message, [pixels]))
            finally:
                os.close(pixels)

    @app.get("/v1/cases/filters", response_model=wire.CaseValues)
    async def filters() -> JSONResponse:
        """The values that the filters of cases may have."""
        return JSONResponse(_about(service)["filters"])

    @app.get("/v1/cases/{crop_id}/picture", response_class=JPEG)
    async def case_picture(crop_id: str) -> Response:
        """The picture of a case on record."""
        folder = _about(service)["case_pictures"]
        if folder is None or not re.fullmatch(CROP_ID, crop_id) or not (found := Path(folder, f"{crop_id}.jpg")).is_file():
            raise Refusal(404, "no case on record has this id, or its picture is not there")
        return FileResponse(found, media_type="image/jpeg")


def _state(app: FastAPI, service: Service, store: Store, telemetry: Telemetry) -> None:
    @app.get("/v1/settings", response_model=wire.ServerSettings)
    async def settings() -> JSONResponse:
        """What the server can do."""
        about = _about(service)
        known = {key: about[key] for key in ("classes", "critical", "thresholds", "versions", "missing", "tag_engines")}
        engines = ["baseline", "refined"] if about["versions"]["detector"] else []
        return JSONResponse(known | {"engines": engines, "limits": {"bytes": MOST_BYTES, "pixels": MOST_PIXELS}})

    @app.get("/healthz", response_model=wire.Lives)
    async def healthz() -> JSONResponse:
        """The process lives."""
        return JSONResponse({"status": "lives"})

    @app.get("/readiness", response_model=wire.Ready)
    async def readiness() -> JSONResponse:
        """The models are loaded."""
        if not service.ready:
            nothing = service.about is not None and not any(service.about["versions"].values())
            said = "; ".join(entry["sentence"] for entry in service.about["missing"]) if nothing else service.trouble
            raise Refusal(503, said, 5)
        return JSONResponse({"status": "ready", "versions": service.about["versions"]})

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counters for Prometheus."""
        counts, stored = service.counts, await run_in_threadpool(store.counts)
        values = {
            "waiting_requests": ("gauge", "Requests that are worked on or wait for it.", counts.waiting),
            "refused_busy_total": ("counter", "Requests refused as the queue was full.", counts.busy),
            "decoders_replaced_total": ("counter", "Decoders that were killed or crashed.", counts.decoders_replaced),
            "models_replaced_total": ("counter", "Model processes that were killed or crashed.", counts.models_replaced),
            "reloads_total": ("counter", "Sets of models that took another one's place.", counts.reloads),
            "inspections_stored": ("gauge", "Inspections in the store.", stored["inspections"]),
            "verdicts_stored": ("gauge", "Verdicts in the store.", stored["verdicts"]),
            "http_resident_bytes": ("gauge", "Memory of the HTTP process.", resident(os.getpid())),
            "model_resident_bytes": ("gauge", "Memory of the process with the models.", resident(service.pids["model"])),
            "ready": ("gauge", "Whether the models are loaded.", float(service.ready)),
        }
        return PlainTextResponse(telemetry.text(values), media_type="text/plain; version=0.0.4; charset=utf-8")


def _page(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PAGE / "static", check_dir=False), name="static")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return _file("index.html", "text/html; charset=utf-8")

    @app.get("/sw.js", include_in_schema=False)
    async def service_worker() -> Response:
        return _file("sw.js", "text/javascript; charset=utf-8", {"Service-Worker-Allowed": "/"})

    @app.get("/manifest.webmanifest", include_in_schema=False)
    async def manifest() -> Response:
        return _file("static/manifest.webmanifest", "application/manifest+json")


def _file(name: str, kind: str, headers: dict[str, str] | None = None) -> Response:
    if not (PAGE / name).is_file():
        raise Refusal(404, f"no {name} here")
    return FileResponse(PAGE / name, media_type=kind, headers=headers)


def _about(service: Service) -> dict[str, Any]:
    if service.about is None:
        raise Refusal(503, service.trouble, 5)
    return service.about


def _picture_id(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise Refusal(404, "not the id of an inspection; the SHA-256 of a picture is expected, 64 hexadecimal digits")
    return text


async def _stored(store: Store, picture_id: str, number: int | None = None) -> tuple[int, dict[str, Any]]:
    found = await run_in_threadpool(store.inspection, _picture_id(picture_id), number)
    if found is None:
        raise Refusal(
            404, "this picture was not inspected here" if number is None else f"no inspection {number} of this picture"
        )
    return found


def _opened(store: Store, picture_id: str) -> Any:
    try:
        return store.picture(picture_id).open("rb")
    except FileNotFoundError:
        raise Refusal(404, "the picture of this inspection is not in the store any more") from None


def _box(answer: dict[str, Any], detection: str) -> list[float]:
    for found in answer["detections"].values():
        for one in found:
            if one["id"] == detection:
                return one["box"]
    raise Refusal(404, "the inspection has no detection with this id")
