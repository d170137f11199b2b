"""What a client may ask of an indexing job, and the command line that it becomes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, get_args

from oneword.engine.catalog import SHIPPED
from oneword.engine.roots import Roots
from oneword.engine.views import BUILT_IN
from oneword.query.errors import BadJob
from oneword.storage.errors import BadName
from oneword.storage.store import NAME

MOST_PATHS = 1_000
MOST_CHARACTERS = 100_000
"""In all paths and options together: Linux takes 131,072 bytes in one argument, and two million in all."""

Source: TypeAlias = Literal["auto", "folder", "table", "webdataset", "urls", "dataset"]
Captions: TypeAlias = Literal["attach", "separate", "ignore"]

MODELS = SHIPPED | {"e5-v"}
"""Names of models that are never a folder's, whatever there is in the working folder (engine.models.load)."""

_NAMED = ", ".join(sorted(MODELS))
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What `oneword index` is told besides. None and empty: as it is by default.

    passages: "auto", "off", or a number of tokens. delete_missing: as with `--sync --delete-missing`.
    yes: also what came from a path that is gone or a folder that is empty.
    """

    source: Source | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    captions: Captions | None = None
    id_column: str | None = None
    text_column: str | None = None
    image_column: str | None = None
    metadata_columns: tuple[str, ...] | None = None
    delete_missing: bool = False
    yes: bool = False
    id_prefix: str | None = None
    take_over: bool = False
    reread: bool = False
    dry_run: bool = False
    passages: int | Literal["auto", "off"] | None = None

    def arguments(self) -> list[str]:
        """Each with its value in one argument, so that no value can be an option itself."""
        found: list[str] = ["--sync"] if self.delete_missing else []
        for one in fields(self):
            value = getattr(self, one.name)
            name = f"--{one.name.replace('_', '-')}"
            match value:
                case None | False:
                    pass
                case True:
                    found.append(name)
                case tuple() if one.name == "metadata_columns":
                    found.append(f"{name}={','.join(value)}")
                case tuple():
                    found += [f"{name}={each}" for each in value]
                case _:
                    found.append(f"{name}={value}")
        return found


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """One job.

    model: None is "auto": the collection's own. view: None is the collection's own.
    """

    collection: str
    paths: tuple[str, ...]
    model: str | None = None
    view: str | None = None
    options: JobOptions = field(default_factory=JobOptions)

    def check(self, roots: Roots, models: frozenset[str] | None) -> None:
        """Raises BadName, or BadJob for what no job may be asked. See `Supervisor` for `models`."""
        if not NAME.fullmatch(self.collection):
            raise BadName(self.collection)
        if not 1 <= len(self.paths) <= MOST_PATHS:
            raise BadJob(f"paths: there are {len(self.paths):,}, expected 1 to {MOST_PATHS:,}")
        self._check_options()
        self._check_model(models)
        if self.view is not None and self.view not in BUILT_IN:
            raise BadJob(f"view {self.view!r}: expected one of {', '.join(BUILT_IN)}; or leave it out")
        for path in self.paths:
            if not path or not roots.allow_given(path):
                raise BadJob(
                    f"path {path!r} is not where jobs may read from; name one in a folder or at a URI that the "
                    "service's operator allowed (oneword serve --job-root)"
                )

    def _check_options(self) -> None:
        options = self.options
        given = [*self.paths, self.model or "", self.view or "", *options.arguments()]
        for text in given:
            if "\0" in text or not _writable(text):
                raise BadJob(f"{text!a} holds a character that no command line can: leave it out")
        if (length := sum(map(len, given))) > MOST_CHARACTERS:
            raise BadJob(f"paths and options have {length:,} characters, expected at most {MOST_CHARACTERS:,}")
        _one_of("source", options.source, get_args(Source))
        _one_of("captions", options.captions, get_args(Captions))
        passages = options.passages
        if isinstance(passages, int) and (isinstance(passages, bool) or not 8 <= passages <= 8192):
            raise BadJob(f"passages {passages}: expected auto, off, or 8 to 8192 tokens")
        if isinstance(passages, str):
            _one_of("passages", passages, ("auto", "off"))
        if any("," in one or not one for one in options.metadata_columns or ()):
            raise BadJob("metadata_columns: expected names that are not empty and have no comma")

    def _check_model(self, models: frozenset[str] | None) -> None:
        if self.model is None or self.model == "auto" or (models is not None and self.model in models):
            return
        if models is not None:
            named = ", ".join(["auto", *sorted(one for one in models if _PLAIN.fullmatch(one))])
            raise BadJob(f"model {self.model!r} is none of this service's: expected one of {named}")
        if self.model not in MODELS:  # a name of no other kind is a folder's where there is such a folder
            raise BadJob(f"model {self.model!r} is none that jobs may use: expected one of auto, {_NAMED}")


def _one_of(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise BadJob(f"{name} {value!r}: expected one of {', '.join(known)}")


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
