"""Jobs, and whether the service is ready."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from oneword.query.client.answers import Job
from oneword.query.client.calls.call import Call, given, segment

if TYPE_CHECKING:
    import httpx


def start_job(
    collection: str, paths: Iterable[str], model: str | None, view: str | None, options: Mapping[str, Any] | None
) -> Call[Job]:
    """POST /v1/jobs."""
    body = {"collection": collection, "paths": [paths] if isinstance(paths, str) else [str(path) for path in paths]}
    return Call(
        method="POST",
        path="/v1/jobs",
        json=body | given(model=model, view=view, options=options),
        read=_job,
        writes=True,
    )


def job(id: str) -> Call[Job]:  # noqa: A002
    """GET /v1/jobs/ID."""
    return Call(method="GET", path=f"/v1/jobs/{segment(id)}", read=_job)


def jobs(limit: int, collection: str | None) -> Call[list[Job]]:
    """GET /v1/jobs."""
    return Call(
        method="GET",
        path="/v1/jobs",
        params={"limit": str(limit)} | given(collection=collection),
        read=lambda response: [Job.of(one) for one in response.json()["jobs"]],
    )


def cancel_job(id: str) -> Call[Job]:  # noqa: A002
    """POST /v1/jobs/ID:cancel."""
    return Call(method="POST", path=f"/v1/jobs/{segment(id)}:cancel", read=_job, writes=True)


def ready() -> Call[None]:
    """GET /readyz."""
    return Call(method="GET", path="/readyz", read=lambda _: None, patient=False)


def _job(response: "httpx.Response") -> Job:
    return Job.of(response.json())
