import os
from pathlib import Path

import pytest

from oneword.engine.errors import BadRoot
from oneword.engine.roots import OutsideRoots, Roots


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "b.txt").write_text("b")
    (tmp_path / "alias").symlink_to("in")
    (tmp_path / "in" / "out").symlink_to("../inside")
    (tmp_path / "in" / "loop").symlink_to("loop")
    return tmp_path


def test_paths(folder: Path) -> None:
    roots = Roots.of([str(folder / "alias")])
    assert roots.texts == (str(folder / "in"),)
    assert all(map(roots.allow, (f"{folder}/in", f"{folder}/alias/a.txt", f"{folder}/in/new", f"file://{folder}/in/x")))
    assert roots.allow("in/sub/../a.txt"), "from the working folder"
    assert roots.allow(f"file://localhost{folder}/%69n/a.txt")
    for outside in (
        f"{folder}",
        f"{folder}/inside/b.txt",
        f"{folder}/in/out/b.txt",
        f"{folder}/in/../inside/b.txt",
        f"file://{folder}/in/%2e%2e/inside/b.txt",
        f"FILE://{folder}/inside/b.txt",
        f"file://elsewhere{folder}/in/a.txt",
        f"{folder}/IN/a.txt",
        f"{folder}/in\0",
        "/etc/passwd",
        "~/x",
        "",
    ):
        assert not roots.allow(outside), outside
    assert Roots.of(["/"]).allow("/etc/passwd")


def test_a_link_is_followed_when_it_is_opened_and_not_after(folder: Path) -> None:
    roots = Roots.of([str(folder / "in")])
    opened = roots.open(folder / "alias" / "a.txt")
    assert os.read(opened, 9) == b"a"
    os.close(opened)
    for outside in (folder / "in" / "out" / "b.txt", folder / "in" / "out", folder / "inside" / "b.txt"):
        with pytest.raises(OutsideRoots, match="outside the roots"):
            roots.open(outside)
    for bad in ("loop", "none"):
        with pytest.raises(OSError):
            roots.open(folder / "in" / bad)


def test_a_link_that_is_set_anew_between_the_look_and_the_opening(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = Roots.of([str(folder / "in")])
    (folder / "in" / "sub" / "b.txt").write_text("mine")
    whole = os.open

    def late(path: str, flags: int) -> int:
        (folder / "in" / "sub").rename(folder / "in" / "away")
        (folder / "in" / "sub").symlink_to(folder / "inside")
        return whole(path, flags)

    monkeypatch.setattr(os, "open", late)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").is_dir() else 0
    with pytest.raises(OutsideRoots):
        roots.open(folder / "in" / "sub" / "b.txt")
    assert not before or len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "in" / "pipe")
    os.close(Roots.of([str(folder / "in")]).open(folder / "in" / "pipe"))


def test_uris() -> None:
    roots = Roots.of(["s3://bucket/a b/", "https://Example.org/p%41/q", "http://h:8080", "memory://m"])
    for inside in (
        "s3://bucket/a b",
        "s3a://bucket/a b/x/y@z?#.png",
        "s3://bucket/a b/...",
        "https://example.org/pA/q",
        "HTTPS://EXAMPLE.org.:443/p%41/%71/x?u=/../s",
        "http://h:8080/any",
        "memory:///m/x",
    ):
        assert roots.allow(inside), inside
    for outside in (
        "s3://bucket/a bc/x",
        "s3://bucket/A B/x",
        "s3://bucket",
        "s3://other/a b/x",
        "s3://bucket/a b/../c",
        "s3://bucket/a b/%2e%2e/c",
        "s3://bucket/a b/%252E%252e/c",
        "s3://bucket/a b/x%2f..%2f..%2fc",
        "s3://bucket/a b/..\\c",
        "s3://key:secret@bucket/a b/x",
        "s3://bucket/a b/x::file:///etc/passwd",
        "simplecache::s3://bucket/a b/x",
        "gs://bucket/a b/x",
        "https://example.org/pA/qq",
        "https://example.org/pA/q/..;/s",
        "https://example.org/pA%2Fq/x",
        "https://example.org@evil.net/pA/q",
        "https://u:p@example.org/pA/q",
        "https://example.org.evil.net/pA/q",
        "https://example.org:444/pA/q",
        "http://example.org/pA/q",
        "http://h/any",
        "https://example.org/pA/q\n/../s",
        "https://[::1/pA/q",
        "local:///m/x",
        "ftp://m/x",
        "memory:///n",
        "/m/x",
    ):
        assert not roots.allow(outside), outside


def test_what_users_give(folder: Path) -> None:
    (folder / "in" / "a[1]").mkdir()
    roots = Roots.of([str(folder / "in"), "s3://bucket/a"])
    for inside in ("in", "in/*.png", "in/**/x", "in/{a,b}/c", "in/a[1]", "s3://bucket/a/*", "s3://bucket/a/{1,2}.tar"):
        assert roots.allow_given(inside), inside
    for outside in (
        "*",
        "in*/b.txt",
        "inside/*",
        "in/out/*",
        "in/*/../../inside/*",
        "in/{sub,../inside}/*",
        "in/{sub/..,..}/inside/b.txt",
        "{in,inside}/x",
        "/*",
        "s3://bucket/a*",
        "s3://bucket/a/{1,../b}/x",
        "s3://bucket/{a,b}",
    ):
        assert not roots.allow_given(outside), outside


@pytest.mark.parametrize(
    "root",
    ["", "nowhere", "a.txt", "in\0", "ftp://h/x", "s3://", "s3://b/..", "https://u@h/x", "https://h/?q", "file://h/x"],
)
def test_no_roots(folder: Path, root: str) -> None:
    (folder / "a.txt").write_text("")
    with pytest.raises(BadRoot, match="expected"):
        Roots.of([root])
