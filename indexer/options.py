"""Every option of indexing, declared once: the command line, REST jobs and Python all derive from here.

A field that is an option has, besides its type and default, what is needed to offer it elsewhere:

    help: one sentence.
    name: what it is called there, if not as the field. metavar, short: on the command line.
    min, max: bounds of numbers; max_length: of texts.
    remote: whether a REST job may set it.
    read: makes the field's value from text; given with `json`, the type of its JSON value.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_type_hints

from oneword.engine.config import MAX_PIXELS, MOST_PIXELS
from oneword.engine.facts import selected
from oneword.indexer.errors import BadOption, BadSource

Options = TypeVar("Options")

MIN_CHUNK, MAX_CHUNK = 8, 8192
"""Tokens in a chunk of a text."""

MAX_PREFIX = 64
"""Characters of `id_prefix`, besides ids of up to oneword.indexer.sources.rows.MAX_ID."""


def about(text: str, **more: Any) -> dict[str, Any]:
    """The metadata above, with its `help`."""
    return {"help": text, **more}


def option(default: Any, text: str, **more: Any) -> Any:
    """A dataclass field with that metadata."""
    return field(default=default, metadata=about(text, **more))


def read_chunks(text: str) -> int | None:
    """`JobConfig.chunks` from auto, off or a number of tokens. Raises ValueError."""
    if text == "auto":
        return None
    if text == "off":
        return 0
    if text.isdecimal() and MIN_CHUNK <= int(text) <= MAX_CHUNK:
        return int(text)
    raise ValueError(f"expected auto, off, or a number of tokens from {MIN_CHUNK} to {MAX_CHUNK}")


def read_delimiter(text: str) -> str:
    r"""One character; \t stands for a tab. Raises ValueError."""
    text = text.replace("\\t", "\t")
    if len(text) != 1:
        raise ValueError("expected one character, such as ';' or '\\t'")
    return text


def read_prefix(text: str) -> str:
    """A prefix of ids. Raises ValueError."""
    if len(text) > MAX_PREFIX or not text.isprintable():
        raise ValueError(f"expected at most {MAX_PREFIX} printable characters")
    return text


def read_names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(filter(None, text.split(",")))


def read_facts(text: str) -> tuple[str, ...]:
    """Names of facts between commas. Raises ValueError."""
    names = read_names(text)
    selected(names)
    return names


class Captions(StrEnum):
    """What a `.txt` beside an image of the same stem is."""

    ATTACH = "attach"  # image and caption are one item
    SEPARATE = "separate"  # two items
    IGNORE = "ignore"  # the image alone


class SourceKind(StrEnum):
    """What the paths are."""

    AUTO = "auto"  # inferred per path
    FOLDER = "folder"
    TABLE = "table"
    WEBDATASET = "webdataset"
    URLS = "urls"
    DATASET = "dataset"


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How sources are read.

    Columns are those of tables and data sets (of webdataset: `id_column` is a key of the sample's JSON). None: inferred
    from the names; "": there is none. Include and exclude are globs, see `oneword.indexer.sources.globs.Patterns`. The
    schemes (`s3`) are allowed besides the one of the store that a table or list is in. Names of facts are those of
    `oneword.engine.facts.selected`.
    """

    kind: SourceKind = field(
        default=SourceKind.AUTO,
        metadata=about("What the paths are, where their names do not say it.", name="source", remote=True),
    )
    id_column: str | None = option(None, "Column of tables with ids.", metavar="NAME", remote=True)
    text_column: str | None = option(None, "Column with texts, or captions.", metavar="NAME", remote=True)
    image_column: str | None = option(None, "Column with paths, URLs or bytes of images.", metavar="NAME", remote=True)
    metadata_columns: tuple[str, ...] | None = option(
        None, "Columns that become metadata; default: all others.", metavar="NAME,...", read=read_names, remote=True
    )
    include: tuple[str, ...] = option(
        (), "Only files of folders that match one of these globs.", metavar="GLOB", remote=True
    )
    exclude: tuple[str, ...] = option(
        (), "No files or folders that match one of these globs.", metavar="GLOB", remote=True
    )
    captions: Captions = field(
        default=Captions.ATTACH, metadata=about("What a .txt beside an image of the same stem is.", remote=True)
    )
    exif: tuple[str, ...] = option(
        ("all",),
        "Which facts in files of images become metadata; no-gps: all but where they were taken.",
        metavar="all|none|NAME,...",
        read=read_facts,
        remote=True,
    )
    id_prefix: str = option(
        "",
        "Put before the ids that rows bring.",
        metavar="TEXT",
        max_length=MAX_PREFIX,
        read=read_prefix,
        remote=True,
    )
    delimiter: str | None = option(
        None, "Between cells of CSV files; default: inferred per file.", metavar="SIGN", read=read_delimiter
    )
    allow_schemes: tuple[str, ...] = option(
        (), "Let tables and lists name other stores, such as s3.", metavar="SCHEME", name="allow_scheme"
    )

    def __post_init__(self) -> None:
        try:
            selected(self.exif)
        except ValueError as error:
            raise BadOption(f"exif: {error}") from None
        object.__setattr__(self, "allow_schemes", tuple(one.lower() for one in self.allow_schemes))

    def as_dict(self) -> dict[str, Any]:
        """The options as JSON types."""
        return {
            one.name: list(value) if isinstance(value := getattr(self, one.name), tuple) else value
            for one in fields(self)
        }

    @classmethod
    def from_dict(cls, read: Mapping[str, Any]) -> "SourceOptions":
        """The inverse of `as_dict`. Raises BadSource for keys and values that it cannot return."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(read) - known):
            raise BadSource(f"source options hold {unknown[0]!r}, expected only {', '.join(sorted(known))}; remove it")
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in read.items()}
        try:
            given |= {"kind": SourceKind(given["kind"])} if "kind" in given else {}
            given |= {"captions": Captions(given["captions"])} if "captions" in given else {}
        except ValueError as error:
            raise BadSource(f"source options cannot be read: {error}; choose another value") from error
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a job may read.

    Args:
        roots: see `oneword.engine.roots`; none: anything may be read.
    """

    allow_private: bool = option(False, "Let URLs lead into private networks, too.")
    roots: tuple[str, ...] = option((), "Read nothing outside this folder or URI prefix.", metavar="ROOT", name="root")


@dataclass(frozen=True, kw_only=True)
class JobConfig(Access):
    """How a job runs.

    Args:
        chunks: most tokens in a chunk of a text; None: the model's own measure; 0: texts are not split.
        yes: with `delete_missing`, remove also what came from a path that does not exist or from an empty folder.
        take_over: without it such rows are quarantined.
        decoders: None: one fewer than there are cores.
        max_pixels: JPEGs may have `oneword.engine.config.MOST_PIXELS`.
        only: nothing but inputs of these origins, or from these tables, shards and folders.
    """

    chunks: int | None = option(
        None,
        "Split texts into chunks of at most this many tokens.",
        metavar="auto|off|N",
        read=read_chunks,
        json=int | Literal["auto", "off"] | None,
        min=MIN_CHUNK,
        max=MAX_CHUNK,
        remote=True,
    )
    delete_missing: bool = option(False, "Remove items of these paths whose input is gone.", remote=True)
    yes: bool = option(
        False, "Remove also what came from a path that is gone or a folder that is empty.", short="-y", remote=True
    )
    take_over: bool = option(False, "Rows replace items of other sources that have their ids.", remote=True)
    reread: bool = option(False, "Read also files of unchanged time and size, and URLs again.", remote=True)
    dry_run: bool = option(False, "Read everything, write nothing, report what would be done.", remote=True)
    ocr: bool = option(False, "Recognize the text that images show, for keywords.", remote=True)
    decoders: int | None = option(None, "Processes that decode images.", min=1, max=256)
    max_pixels: int = option(
        MAX_PIXELS, "Most pixels of an image that is not a JPEG; JPEGs are reduced.", min=1, max=MOST_PIXELS
    )
    only: frozenset[str] | None = None


def declared(kind: type, *, remote: bool = False) -> dict[str, "dataclasses.Field[Any]"]:
    """The options of a dataclass, by their public names. remote: only those that a REST job may set."""
    return {
        one.metadata.get("name", one.name): one
        for one in fields(kind)
        if "help" in one.metadata and (one.metadata.get("remote") or not remote)
    }


def made(kind: Callable[..., Options], given: Mapping[str, Any]) -> Options:
    """A dataclass from values by public name, as a command line has them; None and names of others are left out.

    Raises:
        BadOption: a value cannot be read.
    """
    values: dict[str, Any] = {}
    for name, one in declared(kind).items():  # type: ignore[arg-type]
        value = given.get(name)
        if value is None:
            continue
        if read := one.metadata.get("read"):
            try:
                value = read(value)
            except ValueError as error:
                raise BadOption(f"{_flag(name)} {value!r}: {error}") from error
        values[one.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def changed(*options: Any) -> dict[str, Any]:
    """The options that differ from their defaults, by public name, as a REST job takes them.

    Raises:
        BadOption: one of them is none of a job.
    """
    found: dict[str, Any] = {}
    for one in options:
        allowed = declared(type(one), remote=True)
        names = {field_.name: name for name, field_ in declared(type(one)).items()}
        for field_ in fields(one):
            value = getattr(one, field_.name)
            if value == field_.default:
                continue
            name = names.get(field_.name, field_.name)
            if name not in allowed:
                raise BadOption(f"option {name!r} cannot be set for a service's job: leave it out")
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def arguments(given: Mapping[str, Any]) -> list[str]:
    """The command line of a REST job's options: the inverse of `made`, as text.

    Each option has its value in the same argument, so that no value can be read as an option.

    Raises:
        BadOption: no job may set such an option, or not to this value.
    """
    known = declared(SourceOptions, remote=True) | declared(JobConfig, remote=True)
    types = get_type_hints(SourceOptions) | get_type_hints(JobConfig)
    found: list[str] = []
    for name, value in given.items():
        if name not in known:
            raise BadOption(f"option {name!r} is none of a job: expected one of {', '.join(sorted(known))}")
        one, flag = known[name], _flag(name)
        if value is None or value is False:
            continue
        if value is True and types[one.name] is bool:
            found.append(flag)
        elif (read := one.metadata.get("read")) in (read_names, read_facts):
            if any("," in each or not each for each in value):
                raise BadOption(f"{name}: expected names that are not empty and have no comma")
            _check(name, ",".join(value), types[one.name], read)
            found.append(f"{flag}={','.join(value)}")
        elif isinstance(value, tuple | list):
            found += [f"{flag}={each}" for each in value]
        else:
            _check(name, value, types[one.name], one.metadata.get("read"))
            found.append(f"{flag}={value}")
    return found


def _check(name: str, value: Any, kind: Any, read: Callable[[str], Any] | None) -> None:
    try:
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            if value not in list(kind):
                raise ValueError(f"expected one of {', '.join(kind)}")
        elif read is not None:
            read(str(value))
    except ValueError as error:
        raise BadOption(f"{name} {value!r}: {error}") from error


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
