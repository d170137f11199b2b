import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.basic import classes

SAID = [("cat", "It purrs.", "a photo of a cat."), ("owl", "It hoots.", "a photo of an owl.")]


class Embed:
    """A stand-in for MiniLM that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, texts):
        self.calls += 1
        vectors = np.array([[len(text), ord(text[0]), 1, text.count("o")] for text in texts], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def matrix(embed, folder, key="k" * 64):
    return classes.class_matrix(SAID, embed, key=key, folder=folder)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def test_thousand_names():
    assert len(classes.names()) == 1000
    assert classes.names()[0] == "tench"


def test_phrases_are_three_of_each():
    said = classes.phrases()
    assert len(said) == 1000
    name, description, prompt = said[1]
    assert (name, prompt) == ("goldfish", "a photo of a goldfish.")
    assert description == "A small to medium ornamental carp with no barbels around the mouth."
    assert said[102] == ("echidna", "echidna", "a photo of an echidna.")  # it has no description
    assert not any("available" in phrase for three in said for phrase in three)


def test_the_digest_tells_phrases_apart():
    assert classes.digest(SAID) != classes.digest(SAID[::-1])
    assert classes.digest([("a", "b, c", "d")]) != classes.digest([("a, b", "c", "d")])


def test_rows_are_the_sum_of_phrases():
    embed = Embed()
    rows = matrix(embed, None)
    total = embed(SAID[1]).sum(0)
    np.testing.assert_allclose(rows[1], total / np.linalg.norm(total), atol=1e-6)
    assert rows.dtype == np.float32


def test_computed_once(tmp_path):
    embed = Embed()
    first, second = matrix(embed, tmp_path / "deep" / "er"), matrix(embed, tmp_path / "deep" / "er")
    assert embed.calls == 1
    np.testing.assert_array_equal(first, second)


def test_another_key_is_another_file(tmp_path):
    embed = Embed()
    matrix(embed, tmp_path)
    matrix(embed, tmp_path, key="j" * 64)
    assert embed.calls == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: data + b"x",
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    ],
    ids=["empty", "cut", "cut in the digest", "longer", "one bit"],
)
def test_a_damaged_file_is_computed_again(tmp_path, damage, caplog):
    embed = Embed()
    right = matrix(embed, tmp_path)
    path = only_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(matrix(embed, tmp_path), right)
    assert embed.calls == 2
    assert str(path) in caplog.text
    matrix(embed, tmp_path)
    assert embed.calls == 2  # mended


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path):
    (tmp_path / "file").write_text("in the way")
    embed = Embed()
    assert np.isfinite(matrix(embed, tmp_path / "file" / "cache")).all()
    matrix(embed, tmp_path / "file" / "cache")
    assert embed.calls == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_costs_time_only(tmp_path):
    tmp_path.chmod(0o500)
    assert np.isfinite(matrix(Embed(), tmp_path)).all()
    assert not list(tmp_path.iterdir())


def test_a_failed_rename_leaves_nothing_behind(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "held open", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    assert np.isfinite(matrix(Embed(), tmp_path)).all()
    assert not list(tmp_path.iterdir())


def test_many_at_once(tmp_path):
    embed = Embed()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: matrix(embed, tmp_path), range(40)))
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])
    assert only_file(tmp_path).suffix == ".f32"


@pytest.mark.skipif(os.name == "nt", reason="XDG is not Windows'")
def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert classes.cache_folder() == tmp_path / "oneword"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert classes.cache_folder() == tmp_path / "home" / ".cache" / "oneword"


def test_no_home_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert classes.cache_folder() is None
