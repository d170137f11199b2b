"""Nothing outside the roots is read, whichever way an input leads there; and it is said where that was."""

import csv
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oneword import cli as front_door
from oneword.engine.errors import BadRoot
from oneword.engine.roots import Roots
from oneword.indexer import (
    BadCluster,
    BadSource,
    JobConfig,
    RayConfig,
    RayRunner,
    Report,
    SourceKind,
    SourceOptions,
    index_paths,
    retry,
)
from oneword.indexer.entry import Reference
from oneword.indexer.load import Contents
from oneword.indexer.sources import reading
from oneword.indexer.sources.globs import matching
from oneword.indexer.sources.place import LocalPlace, place_of
from oneword.storage import Store

SECRET = "the secret that nobody may read"

_watched: list[tuple[str, list[str]]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event in ("open", "os.scandir", "os.listdir") and isinstance(arguments[0], str | bytes | Path):
        folder, opened = _watched[-1]
        if (real := os.path.realpath(os.fsdecode(arguments[0]))).startswith(folder):
            opened.append(real)


def write_arrow(path: Path, text: str) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, pa.schema({"text": "str"})) as ipc:
        ipc.write_table(pa.table({"text": [text]}))


@pytest.fixture(scope="session")
def _hooked() -> None:
    sys.addaudithook(_hook)


@pytest.fixture
def outside(tmp_path: Path, _hooked: None) -> Iterator[Path]:
    """A folder beside the root, of which this process opens nothing while the test runs."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    PIL.Image.new("RGB", (20, 20), "red").save(folder / "red.png")
    PIL.Image.new("RGB", (20, 20), "red").save(folder / "deep" / "red.png")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "table.csv").write_text(f"id,text\n1,{SECRET}\n")
    pq.write_table(pa.table({"id": ["1"], "text": [SECRET]}), folder / "table.parquet")
    write_arrow(folder / "table.arrow", SECRET)
    with tarfile.open(folder / "shard.tar", "w") as shard:
        shard.add(folder / "secret.txt", "a.txt")
    opened: list[str] = []
    _watched.append((str(folder), opened))
    yield folder
    _watched.pop()
    assert opened == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    PIL.Image.new("RGB", (20, 20), "blue").save(folder / "sub" / "blue.png")
    return folder


def run(*paths: Path | str, root: Path | str, kind: str = "auto", **options: Any) -> Report:
    config = JobConfig(roots=(str(root),), decoders=1)
    return index_paths(
        paths, db="db", model="hash", options=SourceOptions(kind=SourceKind(kind), **options), config=config
    )


def is_refused(*paths: Path | str, root: Path | str, **options: Any) -> str:
    """Returns the reason."""
    with pytest.raises(BadSource, match=r"outside the roots") as caught:
        run(*paths, root=root, **options)
    return str(caught.value)


def texts() -> list[str | None]:
    return [item.text for some in Store("db").open("default").scan() for item in some]


def refused(report: Report) -> dict[str, str]:
    """Reasons by the end of what was refused; all are of the one kind, and none tells of the roots."""
    assert set(report.kinds) <= {"OutsideRoots"}, report.refused
    assert all("outside the roots" in one.reason for one in report.refused)
    return {one.uri.rpartition("/")[2]: one.reason for one in report.refused}


def test_links_in_folders(root: Path, outside: Path) -> None:
    (root / "red.png").symlink_to(outside / "red.png")
    (root / "note.txt").symlink_to("../outside/secret.txt")
    (root / "blue.png").symlink_to("sub/blue.png")
    (root / "hop").symlink_to("sub/../../outside")
    (root / "broken.png").symlink_to(outside / "none.png")
    report = run(root, root=root)
    assert report.indexed == 2, "what a link inside leads to inside is there"
    reasons = {one.uri.rpartition("/")[2]: (one.kind, one.reason) for one in report.refused}
    assert set(reasons) == {"red.png", "note.txt", "hop", "broken.png"}
    assert all("outside the roots" in reason for _, reason in reasons.values())
    assert reasons["hop"][0] == "UnreadableFolder", "so that nothing of it is taken for gone"
    assert reasons["note.txt"] == ("OutsideRoots", reasons["note.txt"][1])
    assert run(root, root=root).unchanged == 2


def test_captions(root: Path, outside: Path) -> None:
    (root / "sub" / "blue.txt").symlink_to(outside / "secret.txt")
    report = run(root, root=root)
    assert "blue.txt" in refused(report)["blue.png"]
    assert report.indexed == 0


def test_the_roots_own_name_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to("root")
    assert run(tmp_path / "alias", root=root).indexed == 1
    assert run(root / "sub" / "blue.png", root=tmp_path / "alias").indexed == 1
    assert run("alias/sub", root="alias").quarantined == 0


CITED = [
    *("{outside}/red.png", "../outside/red.png", "sub/../../outside/red.png", "sub/link.png", "hop/red.png"),
    *("file://{outside}/red.png", "FILE://{outside}/red.png", "file://localhost{outside}/red.png"),
    *("file://{root}/%2e%2e/outside/red.png", "file://{root}/%2E./outside/red.png", "{root}/../outside/red.png"),
    *("https://elsewhere.example/red.png", "HTTPS://elsewhere.example/red.png", "s3://bucket/red.png"),
    *("memory://elsewhere/red.png", "/proc/self/root{outside}/red.png", "{shouted}/sub/blue.png"),
]


@pytest.fixture
def cells(root: Path, outside: Path) -> list[str]:
    """Ways out, as a table in the root may write them."""
    (root / "sub" / "link.png").symlink_to(outside / "red.png")
    (root / "hop").symlink_to(outside)
    with fsspec.open("memory://elsewhere/red.png", "wb") as file:
        file.write(b"never read")
    shouted = str(root.parent / "ROOT")
    return [cell.format(root=root, outside=outside, shouted=shouted) for cell in CITED]


def as_csv(cells: list[str], file: Path) -> None:
    with file.with_suffix(".csv").open("w", newline="") as opened:
        csv.writer(opened).writerows([["id", "image"], *enumerate([*cells, "sub/blue.png"])])


def as_jsonl(cells: list[str], file: Path) -> None:
    rows = [json.dumps({"id": at, "image": cell}) for at, cell in enumerate([*cells, "./sub/blue.png"])]
    file.with_suffix(".jsonl").write_text("\n".join(rows))


def as_parquet(cells: list[str], file: Path) -> None:
    pictures = [{"bytes": None, "path": cell} for cell in [*cells, "sub/../sub/blue.png"]]
    pq.write_table(pa.table({"id": range(len(pictures)), "image": pictures}), file.with_suffix(".parquet"))


@pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])
def test_cells(root: Path, cells: list[str], write: Callable[[list[str], Path], None]) -> None:
    write(cells, root / "table")
    [table] = root.glob("table.*")
    report = run(table, root=root)
    reasons = refused(report)
    assert set(reasons) == {f"{table.name}#id={at}" for at in range(len(cells))}
    assert all(f"{table}, id={at}" in reasons[f"{table.name}#id={at}"] for at in range(len(cells)))
    assert report.indexed == 1
    assert len(Store("db").quarantine("default").list()) == len(cells)


def test_lists(root: Path, cells: list[str]) -> None:
    uris = [cell for cell in cells if "://" in cell] + [
        f"file://{root}/{one}" for one in ("sub/link.png", "hop/red.png")
    ]
    (root / "list").write_text("\n".join([*uris, f"file://{root}/sub/blue.png"]))
    report = run(root / "list", root=root, kind="urls")
    assert len(report.refused) == len(uris)
    assert refused(report)
    assert report.indexed == 1


def test_an_item_that_is_stored_is_looked_at_no_more(root: Path, outside: Path) -> None:
    (root / "t.csv").write_text(f"id,image\n1,{root}/sub/blue.png\n2,{root}/sub/link.png\n")
    (root / "sub" / "link.png").symlink_to("blue.png")
    assert run(root / "t.csv", root=root).indexed == 2
    (root / "sub" / "link.png").unlink()
    (root / "sub" / "link.png").symlink_to(outside / "red.png")
    report = run(root / "t.csv", root=root)
    assert (report.unchanged, set(refused(report))) == (1, {"t.csv#id=2"})


GIVEN = [
    *("{outside}", "{outside}/red.png", "{outside}/none.png", "root/../outside", "root/hop", "root/link.csv", "~"),
    *("outside/*", "outside/{{a,b}}.tar", "root/*/../../outside/*.png", "root/{{sub,../outside}}/red.png"),
    *("root/hop/*.png", "*/red.png", "roo*/red.png", "/*", "file://{outside}/table.csv", "s3://bucket/red.png"),
    *("file://{root}/%2e%2e/outside/table.csv", "https://elsewhere.example/red.png", "memory://elsewhere/*"),
    *("simplecache::file://{outside}/table.csv", "local://{outside}/table.csv"),
]


@pytest.mark.parametrize("given", GIVEN)
def test_paths_given(root: Path, outside: Path, given: str) -> None:
    (root / "hop").symlink_to(outside)
    (root / "link.csv").symlink_to(outside / "table.csv")
    path = given.format(root=root, outside=outside)
    assert str(root) not in is_refused(root / "sub", path, root=root).replace(path, "")
    assert not Path("db").exists(), "before anything is read"


def test_links_called_by_globs_and_in_folders_of_tables(root: Path, outside: Path) -> None:
    (root / "hop").symlink_to(outside)
    (root / "sub" / "hop").symlink_to(outside)
    (root / "red.png").symlink_to(outside / "red.png")
    report = run(f"{root}/**/*.png", f"{root}/h*/red.png", f"{root}/[rs]*", root=root)
    assert report.indexed == 1
    assert {one.uri.removeprefix(root.as_uri()) for one in report.refused} == {"/hop", "/sub/hop", "/red.png"}
    assert not any("deep" in one.uri for one in report.refused), "not even names are read there"
    for name in ("table.csv", "table.parquet", "table.arrow", "shard.tar"):
        (root / name).symlink_to(outside / name)
        is_refused(f"{root}/{name[:-1]}*", root=root)
    (root / "table.jsonl").write_text(json.dumps({"id": "a", "text": "mine"}))
    report = run(f"{root}/table.*", root=root)
    assert (report.indexed, report.quarantined) == (1, 3)
    is_refused(root, root=root, kind="table")


def test_globs_find_what_they_find_without_roots(root: Path, album: Path) -> None:
    (album / "again").symlink_to("sub")
    (album / "loop").symlink_to(".")
    for pattern in "* **/*.png sub/* */gr*.PNG [rn]* .h* **/sub/* */ sub/./* none*/x ?ed.*".split():
        free, kept = (
            {os.path.realpath(one.key) for one in matching(f"{album}/{pattern}", roots) if isinstance(one, LocalPlace)}
            for roots in (None, Roots.of([str(album)]))
        )
        assert kept == free, pattern
    assert {one.name for one in matching("album/*.jpg", Roots.of(["album"]))} == {"blue.jpg"}


def test_data_sets(root: Path, outside: Path) -> None:
    state = {"_data_files": [{"filename": "../outside/table.arrow"}]}
    (root / "state.json").write_text(json.dumps(state))
    (root / "data.arrow").write_bytes(b"")
    is_refused(root, root=root)
    (root / "state.json").rename(root / "kept.json")
    (root / "train").mkdir()
    (root / "train" / "state.json").write_text(json.dumps(state))
    (root / "dataset_dict.json").write_text(json.dumps({"splits": [str(outside)]}))
    is_refused(root, root=root)
    (root / "dataset_dict.json").unlink()
    (root / "kept.json").unlink()
    (root / "state.json").symlink_to(outside / "secret.txt")
    is_refused(root, root=root)


def test_names_in_a_shard_are_only_names(root: Path, outside: Path) -> None:
    picture = (root / "sub" / "blue.png").read_bytes()
    with tarfile.open(root / "s.tar", "w") as shard:
        for name in ("../outside/red.png", "/etc/passwd.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            shard.addfile(member, io.BytesIO(picture))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside / "secret.txt")
        shard.addfile(link)
    report = run(root / "s.tar", root=root)
    assert (report.indexed, report.quarantined) == (2, 0)


def test_tables_in_a_root_are_read_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pa, "memory_map", None)  # Arrow files are not opened by their paths again
    pq.write_table(pa.table({"id": ["1"], "text": ["one"]}), root / "t.parquet")
    write_arrow(root / "t.arrow", "two")
    (root / "t.csv").write_text("text\nthree\n")
    assert run(f"{root}/t.*", root=root).indexed == 3
    assert sorted(map(str, texts())) == ["one", "three", "two"]


def test_prefixes_of_uris() -> None:
    for name in ("in/a.txt", "in/deep/b.txt", "out/c.txt"):
        with fsspec.open(f"memory://{name}", "w") as file:
            file.write(name)
    with fsspec.open("memory://in/t.csv", "w") as file:
        file.write("id,image\n1,../out/c.txt\n2,memory://out/c.txt\n3,memory://in/%2e%2e/out/c.txt\n4,/etc/passwd\n")
    assert run("memory://in", root="memory://in/", include=("*.txt",)).indexed == 2
    assert run("memory://in/**/*.txt", root="memory://in").unchanged == 2
    report = run("memory://in/t.csv", root="memory://in")
    assert {one.kind for one in report.refused} == {"OutsideRoots", "BadImage"}
    assert report.kinds["OutsideRoots"] == 3
    for given in ("memory://out", "memory://in/../out", "memory://inn", "memory://in::memory://out", "memory://"):
        is_refused(given, root="memory://in")
    with pytest.raises(BadSource, match="download it first"):
        run("https://example.org/a/t.csv", root="https://example.org/a", kind="table")


def test_reading_itself_refuses(root: Path, outside: Path) -> None:
    """Whatever has become of a place since its entry was made."""
    roots = Roots.of([str(root)])
    (root / "link").symlink_to(outside / "secret.txt")
    for uri in (f"file://{root}/link", "https://example.org/x", "memory://x/y"):
        with pytest.raises(Exception, match="outside the roots"):
            reading.read(Reference(uri=uri), fetch=lambda url: b"x", roots=roots)
    for look in ("open", "listing", "identity"):
        place = place_of(root / "link", roots)
        with pytest.raises(PermissionError):
            place.identity if look == "identity" else getattr(place, look)()
    assert not place_of(root / "link", roots).is_folder()
    assert place_of(root / "link", roots).exists()
    with pytest.raises(PermissionError):
        place_of(outside / "secret.txt", roots).exists()
    with pytest.raises(Exception, match="outside the roots"):
        Contents(roots=roots)(Reference(uri=f"file://{outside}/secret.txt"))


def test_a_link_that_is_set_anew_after_it_was_looked_at(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = Roots.of([str(root)])
    for name in ("secret.txt", "deep"):
        (root / name).symlink_to(outside / name)
    monkeypatch.setattr(Roots, "allow_path", lambda self, path: True)
    with pytest.raises(PermissionError):
        place_of(root / "secret.txt", roots).open()
    with pytest.raises(PermissionError):
        place_of(root / "deep", roots).listing()


def test_children_of_remote_places() -> None:
    with fsspec.open("memory://out/c.txt", "w") as file:
        file.write("x")
    folder = place_of("memory://in/deep", Roots.of(["memory://in"]))
    assert folder.child("x").parent.parent.roots == folder.roots
    for name in ("../../out/c.txt", "../../out"):
        place = folder.child(name)
        assert place.outside
        for look in (place.open, place.listing, place.exists, place.is_folder):
            with pytest.raises(PermissionError):
                look()


def test_retry_reads_no_more_than_the_job_was_let(root: Path, outside: Path) -> None:
    (root / "note.txt").symlink_to(outside / "secret.txt")
    (root / "t.csv").write_text("id,image\n1,../outside/red.png\n")
    assert run(root, root=root).quarantined == 1
    assert run(root / "t.csv", root=root).quarantined == 1
    for config in (JobConfig(), JobConfig(roots=(str(root.parent),))):
        outcome = retry(db="db", model="hash", config=config)
        assert (outcome.tried, outcome.quarantined, outcome.indexed, outcome.unreachable) == (2, 2, 0, {})
    assert len(retry(db="db", model="hash", config=JobConfig(roots=(str(outside),))).unreachable) == 2
    (root / "note.txt").unlink()
    (root / "note.txt").write_text("mine")
    assert retry(db="db", model="hash").indexed == 1
    assert "mine" in texts()


def test_without_roots_all_is_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("anywhere")
    (root / "a.txt").symlink_to(tmp_path / "a.txt")
    assert index_paths([root], db="db", model="hash").indexed == 2


def test_the_command_line(root: Path, outside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = ["--db", "db", "--model", "hash", "--json"]
    assert front_door.run(["index", *model, "--root", str(root), "--", str(root)]) == 0
    assert json.loads(capfd.readouterr().out)["indexed"] == 1
    assert front_door.run(["index", *model, "--root", str(root), "--", str(outside)]) == 1
    assert "outside the roots" in json.loads(capfd.readouterr().out)["error"]["message"]
    assert front_door.run(["index", *model, "--root", str(root), "--root", str(outside / "none"), str(root)]) == 1
    assert front_door.run(["index", *model, "--engine", "ray", "--root", str(root), str(root)]) == 1
    assert "roots" in capfd.readouterr().err
    assert front_door.run(["quarantine", "retry", "--db", "db", "--root", str(root)]) == 0


def test_what_cannot_be(root: Path) -> None:
    config, runner = JobConfig(roots=(str(root),)), RayRunner(RayConfig(address="local"))
    with pytest.raises(BadCluster, match="roots"):
        index_paths([root], db="db", model="hash", config=config, runner=runner)
    with pytest.raises(BadRoot, match="not a folder"):
        run(root, root=root / "none")
