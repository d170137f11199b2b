import numpy as np
import pytest

from oneword.engine.basic import classes

SAID = [("cat", "It purrs.", "a photo of a cat."), ("owl", "It hoots.", "a photo of an owl.")]


class Embed:
    """A stand-in for MiniLM that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, texts):
        self.calls += 1
        vectors = np.array([[len(text), ord(text[0]), 1, text.count("o")] for text in texts], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


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


def test_the_key_tells_phrases_apart(encoder):
    minilm = encoder._sentences
    assert classes.key_of(SAID, minilm) != classes.key_of(SAID[::-1], minilm)
    assert classes.key_of([("a", "b, c", "d")], minilm) != classes.key_of([("a, b", "c", "d")], minilm)


def test_rows_are_the_sum_of_phrases():
    embed = Embed()
    rows = classes.computed(SAID, embed)
    total = embed(SAID[1]).sum(0)
    np.testing.assert_allclose(rows[1], total / np.linalg.norm(total), atol=1e-3)
    assert rows.dtype == np.float16


def test_shipped_vectors_are_read_not_computed(tmp_path):
    embed, shipped = Embed(), tmp_path / "classes.safetensors"
    classes.write(SAID, embed, key="k", shipped=shipped)
    rows = classes.class_matrix(SAID, embed, key="k", shipped=shipped)
    assert embed.calls == 1
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, classes.computed(SAID, embed).astype(np.float32))


@pytest.mark.parametrize("shipped", ["of another model", "missing"])
def test_vectors_of_something_else_are_computed_and_said_so(tmp_path, shipped, caplog):
    embed, path = Embed(), tmp_path / "classes.safetensors"
    if shipped != "missing":
        classes.write(SAID[::-1], embed, key="another", shipped=path)
    rows = classes.class_matrix(SAID, embed, key="k", shipped=path)
    np.testing.assert_array_equal(rows, classes.computed(SAID, embed).astype(np.float32))
    assert str(path) in caplog.text


def test_what_is_shipped_is_of_the_installed_packages(encoder):
    some = slice(100, 104)
    said = classes.phrases()
    never = Embed()
    shipped = classes.class_matrix(said, never, key=classes.key_of(said, encoder._sentences))
    assert never.calls == 0
    again = classes.computed(said[some], encoder._sentences.vectors)
    np.testing.assert_allclose(shipped[some], again, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(shipped, axis=1), 1, atol=1e-3)
