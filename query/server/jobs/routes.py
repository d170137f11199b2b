"""Indexing jobs over HTTP: start, list, look, cancel."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from oneword.query.errors import NotCancellable, QueryError, TooManyJobs
from oneword.query.server.guard.access import needs
from oneword.query.server.jobs.request import MOST_PATHS, Captions, JobOptions, JobRequest, Source
from oneword.query.server.jobs.status import JobStatus, State
from oneword.query.server.jobs.supervisor import Supervisor
from oneword.query.server.problem import Problem
from oneword.query.server.state import state_of
from oneword.storage import StorageError

Done = TypeVar("Done")
Text = Annotated[str, Field(max_length=4096)]
Texts = Annotated[tuple[Text, ...], Field(max_length=100)]

router = APIRouter(tags=["jobs"])


class Options(BaseModel):
    """How the paths are read; as the options of `oneword index` of these names."""

    model_config = ConfigDict(extra="forbid")

    source: Source | None = Field(default=None, description="What the paths are, where their names do not say it.")
    include: Texts = Field(
        default=(), description="Only files of folders that match one of these globs.", examples=[["*.jpg"]]
    )
    exclude: Texts = Field(default=(), description="No files or folders that match one of these globs.")
    captions: Captions | None = Field(
        default=None, description="What a .txt beside a picture of the same stem is; attach, if it is left out."
    )
    id_column: Text | None = Field(default=None, description="Of a table: ids.")
    text_column: Text | None = Field(default=None, description="Of a table: texts, or captions.")
    image_column: Text | None = Field(default=None, description="Of a table: paths, URLs or bytes of pictures.")
    metadata_columns: Texts | None = Field(
        default=None, description="Of a table: metadata; all others, if it is left out."
    )
    delete_missing: bool = Field(default=False, description="Remove items of these paths whose input is gone.")
    yes: bool = Field(
        default=False, description="Remove also what came from a path that is gone or a folder that is empty."
    )
    id_prefix: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Put before the ids of rows."
    )
    take_over: bool = Field(default=False, description="Rows replace items of other sources that have their ids.")
    reread: bool = Field(default=False, description="Read also files of unchanged time and size, and URLs again.")
    dry_run: bool = Field(default=False, description="Read everything, write nothing, count what would be done.")
    passages: Annotated[int, Field(ge=8, le=8192)] | Literal["auto", "off"] | None = Field(
        default=None, description="Split texts into passages of so many tokens."
    )


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
        max_length=MOST_PATHS,
    )
    model: Text | None = Field(
        default=None, description="Of a new collection; the service's choice, if it is left out."
    )
    view: Text | None = Field(
        default=None, description="A built-in view's name; the collection's own, if it is left out."
    )
    options: Options = Field(default=Options(), description="How the paths are read.")

    def request(self) -> JobRequest:
        """As the supervisor takes it."""
        return JobRequest(
            collection=self.collection,
            paths=tuple(self.paths),
            model=self.model,
            view=self.view,
            options=JobOptions(**dict(self.options)),
        )


class Job(BaseModel):
    """How a job is."""

    id: str = Field(description="Sorts by when the job was started.", examples=["20260102T030405678901-0a1b2c3d"])
    collection: str
    state: State = Field(
        description="interrupted: it was cancelled, and what it had done is kept. killed: it ended without a word."
    )
    started: datetime
    updated: datetime = Field(description="When it was last heard of.")
    ended: datetime | None = Field(default=None, description="Left out as long as it is not known to have ended.")
    counts: dict[str, Any] = Field(
        description="Inputs by what became of them, rows written, items deleted.",
        examples=[{"inputs": 12, "indexed": 10, "unchanged": 1, "quarantined": 1}],
    )
    message: str | None = Field(default=None, description="What there is to say, mostly why it failed.")

    @classmethod
    def of(cls, status: JobStatus) -> "Job":
        """As the supervisor has it."""
        return cls(**{**vars(status), "counts": dict(status.counts), "message": status.message or None})


class Jobs(BaseModel):
    """The newest first."""

    jobs: list[Job]


JobId = Annotated[str, Path(description="Of the job.", max_length=64)]


def supervisor(request: Request) -> Supervisor:
    """The service's; Problem 403 where there are no jobs."""
    found = state_of(request).supervisor
    if found is None:
        raise Problem(
            403,
            "jobs_off",
            "this service starts no indexing jobs: it was not told where they may read from",
            remedy="The operator starts it with `oneword serve --job-root DIR`.",
        )
    return found


Supervised = Annotated[Supervisor, Depends(supervisor)]


async def _done(work: Callable[..., Done], *given: Any) -> Done:
    """What a blocking call returns; its errors as problems."""
    try:
        return await asyncio.to_thread(work, *given)
    except TooManyJobs as error:
        if error.collection is not None:
            raise Problem(
                409, "job_running", str(error), field="collection", remedy="GET /v1/jobs lists the jobs."
            ) from error
        remedy = "Try again after the time that Retry-After says."
        raise Problem(503, "too_many_jobs", str(error), remedy=remedy, retry_after=10.0) from error
    except NotCancellable as error:
        raise Problem(409, "not_cancellable", str(error)) from error
    except (QueryError, StorageError) as error:
        raise Problem.of(error) from error


@router.get("/v1/jobs", dependencies=[needs("read")], response_model_exclude_none=True)
async def list_jobs(
    jobs: Supervised,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many, the newest first.")] = 20,
    collection: Annotated[str | None, Query(max_length=63, description="Only jobs of this one.")] = None,
) -> Jobs:
    """Jobs of the store, whoever started them."""
    return Jobs(jobs=[Job.of(one) for one in await _done(jobs.list, limit, collection)])


@router.post("/v1/jobs", status_code=201, dependencies=[needs("admin")], response_model_exclude_none=True)
async def start_job(body: NewJob, response: Response, jobs: Supervised) -> Job:
    """Start to index; run it again, and only what is new or changed is embedded."""
    status = await _done(jobs.start, body.request())
    response.headers["Location"] = f"/v1/jobs/{status.id}"
    return Job.of(status)


@router.get("/v1/jobs/{job_id}", dependencies=[needs("read")], response_model_exclude_none=True)
async def get_job(job_id: JobId, jobs: Supervised) -> Job:
    """How a job is."""
    return Job.of(await _done(jobs.get, job_id))


@router.post(
    "/v1/jobs/{job_id}:cancel",
    status_code=202,
    dependencies=[needs("admin")],
    response_model_exclude_none=True,
)
async def cancel_job(job_id: JobId, jobs: Supervised) -> Job:
    """Ask a job to commit what it has and to end. One that has ended is left as it is."""
    return Job.of(await _done(jobs.cancel, job_id))
