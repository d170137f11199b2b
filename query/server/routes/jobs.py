"""Indexing jobs over HTTP: start, list, look, cancel."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from oneword.query.jobs import Jobs as RunningJobs
from oneword.query.server.auth import needs
from oneword.query.server.problem import Problem
from oneword.query.server.registry import state_of
from oneword.query.server.schemas import Out
from oneword.storage import Job

MAX_VALUES = 100
MAX_TEXT = 4096
"""Most values of an option, and most characters of a text. How many paths there may be is checked by the jobs."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]


def options_model(options: type) -> type[BaseModel]:
    """The model of a job's options, from the dataclass that declares them; see `oneword.query.jobs.Indexing`."""
    types = get_type_hints(options)
    made: dict[str, Any] = {
        one.name: (
            _bounded(types[one.name], one.metadata),
            Field(default=one.default, description=one.metadata["help"]),
        )
        for one in fields(options)
    }
    text = "How the paths are read; the options of `oneword index` with these names."
    return create_model("Options", __config__=ConfigDict(extra="forbid"), __doc__=text, **made)


def _bounded(kind: Any, about: Mapping[str, Any]) -> Any:
    """A type with the bounds that its field declares."""
    if kind is int:
        return Annotated[int, Field(strict=True, ge=about.get("min"), le=about.get("max"))]
    if kind is str:
        return Annotated[str, Field(max_length=about.get("max_length", MAX_TEXT))]
    if get_origin(kind) is tuple:
        return Annotated[tuple[Text, ...], Field(max_length=MAX_VALUES)]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_bounded(one, about) for one in get_args(kind))]  # noqa: UP007 - made of a tuple
    return kind


def job_routes(options: type | None) -> APIRouter:
    """The routes, for jobs with these options; None where the service has no jobs."""
    start = _start(options_model(options) if options is not None else create_model("Options"))
    made = APIRouter(tags=["jobs"])
    for method, path, endpoint, scope, status in (
        ("GET", "/v1/jobs", list_jobs, "read", 200),
        ("POST", "/v1/jobs", start, "admin", 201),
        ("GET", "/v1/jobs/{job_id}", get_job, "read", 200),
        ("POST", "/v1/jobs/{job_id}:cancel", cancel_job, "admin", 202),
    ):
        made.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            dependencies=[needs(cast("Any", scope))],
            response_model_exclude_defaults=True,
        )
    return made


class NewJob(BaseModel):
    """A job to start."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"collection": "photos", "paths": ["/srv/photos/2024"]}]},
    )

    collection: str = Field(description="Made if it does not exist.", max_length=63, examples=["photos"])
    paths: list[Text] = Field(
        description="Folders, files, tables, shards, data sets, globs or URIs, as the service's machine reaches them; "
        "only where its operator allows it.",
        min_length=1,
    )
    model: Text | None = Field(default=None, description="Of a new collection; default: the service's choice.")
    view: Text | None = Field(default=None, description="A built-in view's name; default: the collection's own.")


class Jobs(Out):
    """The newest first."""

    jobs: list[Job]


JobId = Annotated[str, Path(description="Of the job.", max_length=64)]


def jobs_of(request: Request) -> RunningJobs:
    """The service's jobs. Raises Problem 403 where it has none."""
    found = state_of(request).jobs
    if found is None:
        raise Problem(
            "jobs_off", "this service starts no indexing jobs: no folder is configured that they may read from"
        )
    return found


ServedJobs = Annotated[RunningJobs, Depends(jobs_of)]


async def list_jobs(
    jobs: ServedJobs,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many, the newest first.")] = 20,
    collection: Annotated[str | None, Query(max_length=63, description="Only jobs of this one.")] = None,
) -> Jobs:
    """Jobs of the store, whatever started them."""
    return Jobs.model_construct(jobs=list(await asyncio.to_thread(jobs.list, limit, collection)))


def _start(options: type[BaseModel]) -> Callable[..., Any]:
    """The endpoint that starts a job with such options."""
    body_model = create_model(
        "NewJob",
        __base__=NewJob,
        __doc__=NewJob.__doc__,
        options=(options, Field(default=options(), description="How the paths are read.")),
    )

    async def start_job(body: Any, response: Response, jobs: ServedJobs) -> Job:
        """Start to index; run it again, and only what is new or changed is embedded."""
        given = body.options.model_dump(mode="json", exclude_unset=True)
        job = await asyncio.to_thread(
            jobs.start, body.collection, body.paths, model=body.model, view=body.view, options=given
        )
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    start_job.__annotations__["body"] = body_model
    return start_job


async def get_job(job_id: JobId, jobs: ServedJobs) -> Job:
    """How a job is."""
    return await asyncio.to_thread(jobs.get, job_id)


async def cancel_job(job_id: JobId, jobs: ServedJobs) -> Job:
    """Ask a job to commit what it has and to end. One that has ended is left as it is."""
    return await asyncio.to_thread(jobs.cancel, job_id)
