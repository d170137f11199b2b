"""The documentation builds into a site, strictly: every link, anchor and name of the reference is there; no network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="the documentation needs mkdocs-material")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert set(re.findall(r": (\S+\.md)", listed)) == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_the_references_are_whole(site: Path) -> None:
    rest = (site / "rest" / "index.html").read_text(encoding="utf-8")
    for path in ("/v1/collections/{collection}/search", "/v1/jobs", "/readyz"):
        assert path in rest
    assert 'id="queryin"' in rest
    python = (site / "python" / "index.html").read_text(encoding="utf-8")
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 20
    for name in named:
        assert f'id="{name}"' in python


def test_a_page_asks_no_other_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|img|iframe|source)[^>]+src="([^"]+)"|<link[^>]+rel="(?:stylesheet|preload|preconnect)"[^>]*',
            text,
        )
        assert not [one for one in loaded if one.startswith(("http:", "https:", "//"))], page
        assert "fonts.googleapis" not in text
