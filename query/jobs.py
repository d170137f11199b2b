"""What a service needs of indexing jobs. It is passed in: `query` knows nothing of how inputs are indexed."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from oneword.storage import JobRecord


class Jobs(Protocol):
    """Starts jobs and reports how they are. Safe from any number of threads; its methods block."""

    def start(
        self,
        collection: str,
        paths: Sequence[str],
        *,
        model: str | None = None,
        view: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> JobRecord:
        """Starts a job. Raises BadName, BadJob, TooManyJobs."""
        ...

    def get(self, job_id: str) -> JobRecord:
        """How a job is. Raises JobNotFound."""
        ...

    def list(self, limit: int = 20, collection: str | None = None) -> Sequence[JobRecord]:
        """The newest jobs of the store; the newest first."""
        ...

    def cancel(self, job_id: str) -> JobRecord:
        """Asks a job to commit what it has and to end. Raises JobNotFound, NotCancellable."""
        ...

    def close(self, timeout: float = 30.0) -> None:
        """Ends all jobs of this process within `timeout` seconds."""
        ...


class Indexing(Protocol):
    """Makes `Jobs`.

    Attributes:
        options: a dataclass with the options of a job. Each field's metadata has its `help`, and bounds: `min`, `max`
            and `max_length`.
    """

    options: type

    def __call__(self, db: str, roots: Sequence[str], *, models: frozenset[str] | None = None) -> Jobs:
        """Jobs of a store. roots: where they may read from. models: that they may ask for; None: any shipped one."""
        ...
