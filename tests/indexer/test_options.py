"""Options are declared once: the command line, REST jobs and the arguments of a job's process agree by construction."""

from dataclasses import fields
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from oneword.indexer import BadOption, Captions, JobConfig, SourceKind, SourceOptions
from oneword.indexer.jobs import Supervisor
from oneword.indexer.options import arguments, declared, made
from oneword.indexer.parameters import with_options

TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["C"]), max_size=20)
NAMES = st.lists(st.text("abc -_=", min_size=1, max_size=5), max_size=3).map(tuple)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "source": st.sampled_from(SourceKind),
        "captions": st.sampled_from(Captions),
        "include": NAMES,
        "exclude": NAMES,
        "id_column": TEXT,
        "text_column": TEXT,
        "image_column": TEXT,
        "metadata_columns": NAMES,
        "exif": st.lists(st.sampled_from(["all", "none", "no-gps", "camera", "title"]), max_size=3).map(tuple),
        "id_prefix": TEXT.filter(str.isprintable),
        "chunks": st.integers(8, 8192) | st.sampled_from(["auto", "off"]),
        **{name: st.booleans() for name in ("delete_missing", "yes", "take_over", "reread", "dry_run")},
    },
)


def parsed(line: list[str]) -> tuple[SourceOptions, JobConfig]:
    """What a command with these options gets."""
    found: list[tuple[SourceOptions, JobConfig]] = []
    app = typer.Typer(add_completion=False)

    @with_options
    def command(sources: SourceOptions, config: JobConfig) -> None:
        found.append((sources, config))

    app.command()(command)
    app(line, standalone_mode=False)
    return found[0]


@given(GIVEN)
def test_a_jobs_options_arrive_in_its_process(options: dict[str, Any]) -> None:
    sources, config = parsed(arguments(options))
    chunks = options.get("chunks", "auto")
    assert config.chunks == {"auto": None, "off": 0}.get(chunks, chunks)
    for name, one in (declared(SourceOptions, remote=True) | declared(JobConfig, remote=True)).items():
        if name != "chunks":
            found = getattr(sources if one in fields(SourceOptions) else config, one.name)
            assert found == options.get(name, one.default)


def test_a_service_offers_what_is_declared_for_it() -> None:
    remote = declared(SourceOptions, remote=True) | declared(JobConfig, remote=True)
    assert [one.name for one in fields(Supervisor.options)] == list(remote)
    assert not {"root", "roots", "allow_private", "allow_scheme", "decoders", "max_pixels", "only"} & set(remote)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"root": ["/"]}, "option 'root' is none of a job"),
        ({"source": "exotic"}, "source 'exotic': expected one of auto, folder"),
        ({"chunks": 7}, "chunks 7: expected auto, off, or a number"),
        ({"chunks": True}, "chunks True"),
        ({"id_prefix": "a\nb"}, "printable"),
        ({"id_prefix": "x" * 65}, "at most 64"),
        ({"metadata_columns": ["a,b"]}, "no comma"),
        ({"metadata_columns": [""]}, "not empty"),
        ({"exif": ["camra"]}, "exif 'camra': no such fact"),
    ],
)
def test_what_no_job_may_ask(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        arguments(options)


def test_what_a_command_line_cannot_say() -> None:
    for line in (["--chunks=7"], ["--delimiter=ab"], [f"--id-prefix={'x' * 65}"], ["--decoders=0"], ["--exif=x"]):
        with pytest.raises(Exception) as caught:
            parsed(line)
        assert getattr(caught.value, "exit_code", None) == 2
    assert parsed(["--delimiter=\\t"])[0].delimiter == "\t"
    assert parsed(["--root=a", "--root=b", "--allow-scheme=S3"])[1].roots == ("a", "b")
    assert made(JobConfig, {"chunks": None, "unknown": 1}) == JobConfig()
