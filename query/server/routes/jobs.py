"""Indexing jobs over HTTP: start, list, look, cancel."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from oneword.query.errors import QueryError
from oneword.query.jobs import Jobs as RunningJobs
from oneword.query.server.auth import needs
from oneword.query.server.problem import Problem
from oneword.query.server.registry import state_of
from oneword.storage import JobRecord, StorageError
from oneword.storage.errors import NotCancellable, TooManyJobs
from oneword.storage.journal import State

MAX_VALUES = 100
MAX_TEXT = 4096
"""Most values of an option, and most characters of a text. How many paths there may be is checked by the jobs."""

Result = TypeVar("Result")
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
    made = APIRouter(tags=["jobs"])
    made.add_api_route(
        "/v1/jobs", list_jobs, methods=["GET"], dependencies=[needs("read")], response_model_exclude_none=True
    )
    made.add_api_route(
        "/v1/jobs",
        _start(options_model(options) if options is not None else create_model("Options")),
        methods=["POST"],
        status_code=201,
        dependencies=[needs("admin")],
        response_model_exclude_none=True,
    )
    made.add_api_route(
        "/v1/jobs/{job_id}", get_job, methods=["GET"], dependencies=[needs("read")], response_model_exclude_none=True
    )
    made.add_api_route(
        "/v1/jobs/{job_id}:cancel",
        cancel_job,
        methods=["POST"],
        status_code=202,
        dependencies=[needs("admin")],
        response_model_exclude_none=True,
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


class Job(BaseModel):
    """How a job is."""

    id: str = Field(description="Sorts by when the job was started.", examples=["20260102T030405678901-0a1b2c3d"])
    collection: str
    state: State = Field(
        description="interrupted: it was cancelled, and what it had done is kept. killed: it ended without a report."
    )
    started: datetime
    updated: datetime = Field(description="When its last progress was reported.")
    ended: datetime | None = Field(default=None, description="Left out while it is not known to have ended.")
    counts: dict[str, Any] = Field(
        description="Inputs by outcome, rows written, items deleted.",
        examples=[{"inputs": 12, "indexed": 10, "unchanged": 1, "quarantined": 1}],
    )
    message: str | None = Field(default=None, description="Mostly why it failed.")

    @classmethod
    def of(cls, status: JobRecord) -> "Job":
        """From a record."""
        given = {name: getattr(status, name) for name in cls.model_fields}
        return cls(**{**given, "counts": dict(status.counts), "message": status.message or None})


class Jobs(BaseModel):
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


async def _done(work: Callable[..., Result], *given: Any) -> Result:
    """Calls `work` in a thread; raises its errors as problems."""
    try:
        return await asyncio.to_thread(work, *given)
    except TooManyJobs as error:
        if error.collection is not None:
            raise Problem("job_running", str(error), field="collection") from error
        remedy = "Retry after the time in Retry-After."
        raise Problem("too_many_jobs", str(error), remedy=remedy, retry_after=10.0) from error
    except NotCancellable as error:
        raise Problem("not_cancellable", str(error)) from error
    except (QueryError, StorageError) as error:
        raise Problem.of(error) from error


async def list_jobs(
    jobs: ServedJobs,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many, the newest first.")] = 20,
    collection: Annotated[str | None, Query(max_length=63, description="Only jobs of this one.")] = None,
) -> Jobs:
    """Jobs of the store, whatever started them."""
    return Jobs(jobs=[Job.of(one) for one in await _done(jobs.list, limit, collection)])


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
        given = cast("Any", body)
        status = await _done(
            lambda: jobs.start(
                given.collection,
                given.paths,
                model=given.model,
                view=given.view,
                options=given.options.model_dump(mode="json", exclude_unset=True),
            )
        )
        response.headers["Location"] = f"/v1/jobs/{status.id}"
        return Job.of(status)

    start_job.__annotations__["body"] = body_model
    return start_job


async def get_job(job_id: JobId, jobs: ServedJobs) -> Job:
    """How a job is."""
    return Job.of(await _done(jobs.get, job_id))


async def cancel_job(job_id: JobId, jobs: ServedJobs) -> Job:
    """Ask a job to commit what it has and to end. One that has ended is left as it is."""
    return Job.of(await _done(jobs.cancel, job_id))
