import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.indexer.errors import BadSource
from oneword.indexer.options import Captions, SourceKind, SourceOptions
from oneword.indexer.sources import open_sources
from oneword.indexer.sources.folder import FolderSource
from oneword.indexer.sources.tables import TableSource
from oneword.indexer.sources.urls import UrlSource
from oneword.indexer.sources.webdataset import WebDatasetSource

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
OPTIONS = st.builds(
    SourceOptions,
    kind=st.sampled_from(SourceKind),
    id_column=st.none() | NAMES,
    text_column=st.none() | NAMES,
    image_column=st.none() | NAMES,
    metadata_columns=st.none() | st.lists(NAMES).map(tuple),
    include=st.lists(NAMES).map(tuple),
    exclude=st.lists(NAMES).map(tuple),
    captions=st.sampled_from(Captions),
)


@given(options=OPTIONS)
def test_options_are_kept_as_json(options: SourceOptions) -> None:
    again = SourceOptions.from_dict(json.loads(json.dumps(options.as_dict())))
    assert again == options
    assert isinstance(again.kind, SourceKind)
    assert isinstance(again.captions, Captions)


def test_options_of_another_kind_are_refused() -> None:
    assert SourceOptions.from_dict({}) == SourceOptions()
    with pytest.raises(BadSource, match="'colour', expected only allow_schemes, captions"):
        SourceOptions.from_dict({"colour": 1})
    with pytest.raises(BadSource, match="'tabel'"):
        SourceOptions.from_dict({"kind": "tabel"})


def test_each_path_is_told_by_what_it_is(album: Path) -> None:
    (album / "t.csv").write_text("text\nx\n")
    with tarfile.open(album / "s.tar", "w") as archive:
        archive.add(album / "red.txt", "red.txt")
    given = ["https://example.org/x.png", album / "t.csv", album, album / "s.tar", album / "red.png"]
    sources = open_sources(given)
    assert list(map(type, sources)) == [UrlSource, TableSource, FolderSource, WebDatasetSource]
    assert [len(list(one.entries())) for one in sources] == [1, 1, 6, 1]
    (source,) = open_sources([album / "t.csv"], SourceOptions(kind=SourceKind.FOLDER))
    assert isinstance(source, FolderSource)


def test_a_folder_with_a_mark_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "state.json").write_text('{"_data_files": []}')
    (source,) = open_sources([tmp_path / "d"])
    assert isinstance(source, FolderSource), "other programs write a state.json, too"
    (tmp_path / "d" / "photos.arrow").write_bytes(b"")
    (tmp_path / "d" / "state.json").write_text('{"lastSync": 123}')
    assert isinstance(open_sources([tmp_path / "d"])[0], FolderSource)
    (tmp_path / "d" / "state.json").write_text('{"_data_files": []}')
    (tmp_path / "d" / "data-00000-of-00001.arrow").write_bytes(b"")
    (source,) = open_sources([tmp_path / "d"])
    assert isinstance(source, TableSource)
    assert list(source.entries()) == []
    assert source.total == 0


@pytest.mark.parametrize(("package", "path"), [("fsspec.core", "s3://bucket/x"), ("braceexpand", "s-{1..2}.tar")])
def test_a_missing_package_is_named(package: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BadSource, match=r"install oneword\[sources\]"):
        open_sources([path])


def test_importing_sources_is_light() -> None:
    heavy = {"pyarrow", "fsspec", "braceexpand", "datasets", "torch", "lancedb"}
    code = f"import sys, oneword.indexer.sources; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
