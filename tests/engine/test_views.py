import pytest

from oneword.engine import views
from oneword.engine.errors import ViewError
from oneword.engine.hashing import HashEncoder
from oneword.engine.space import Space
from oneword.engine.views import BUILT_IN, DEFAULT, Prompts, View


def test_the_references_prompts_to_the_letter() -> None:
    assert DEFAULT.query.text == "<sent>\nSummary above sentence in one word: "
    assert DEFAULT.gallery.image == "<image>\nSummary above image in one word: "
    assert views.CIRR.query.composed == '<image>Modify this image with "<sent>", desribe modified image in one word:'
    assert views.CIRR.gallery.image == "<image>\n Describe this image in one word:"
    shirt = BUILT_IN["fashioniq-shirt"]
    assert shirt.query.composed == (
        "<image> change the style of this shirt to <sent>\n Desribe this modified shirt in one word based on its style:"
    )
    assert shirt.gallery.image == "<image>\n Describe this shirt in one word based on its style:"
    assert set(BUILT_IN) == {"default", "cirr", "fashioniq-dress", "fashioniq-shirt", "pages"}


def test_a_view_of_ones_own(tmp_path) -> None:
    path = tmp_path / "colours.toml"
    path.write_text(
        'name = "colours"\nimage = "<image>\\nDescribe this image in one word based on its colours:"\n'
        '[query]\ntext = "<sent> in colours, in one word:"\n'
    )
    view = views.get(str(path))
    assert view.name == "colours"
    assert view.gallery.image == "<image>\nDescribe this image in one word based on its colours:"
    assert view.query.text == "<sent> in colours, in one word:"
    assert view.gallery.text == DEFAULT.gallery.text
    assert View.from_dict(view.as_dict()) == view


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('name = "default"', "not a built-in view's"),
        ('image = "<image>:"', "name = None"),
        ('name = "x"\nimage = "no picture here"', "<image> once, found it 0 times"),
        ('name = "x"\ntext = "<sent> <sent>"', "found it 2 times"),
        ('name = "x"\ntext = "<sent> <image>"', "<image> not at all"),
        ('name = "x"\ncolour = "red"', "has colour"),
        ('name = "x"\nquery = 3', "query"),
        ('name = "x"\nimage = 3', "expected a string"),
        ("name = ", "cannot be read"),
    ],
)
def test_malformed_view_files(tmp_path, content: str, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(ViewError, match=complaint):
        views.get(str(path))


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ViewError, match="default, cirr, fashioniq-dress, fashioniq-shirt, pages"):
        views.get("colours")
    with pytest.raises(ViewError, match="cannot be read"):
        views.get("absent.toml")


def test_the_fingerprint_sees_everything_but_the_models_name() -> None:
    base = {
        "model": "a",
        "revision": "1",
        "view": DEFAULT,
        "preprocessing": {"size": 336, "crop": True},
        "dimension": 8,
    }
    one = Space(**base)
    changed = Prompts(**{**DEFAULT.as_dict()["gallery"], "image": "<image>!"})
    others = [
        {"revision": "2"},
        {"view": views.CIRR},
        {"view": View(name="default", query=DEFAULT.query, gallery=changed)},
        {"preprocessing": {"size": 337, "crop": True}},
        {"dimension": 9},
        {"normalisation": "none"},
    ]
    prints = {one.fingerprint} | {Space(**{**base, **other}).fingerprint for other in others}
    assert len(prints) == 1 + len(others)
    assert Space(**{**base, "model": "b"}).fingerprint == one.fingerprint
    assert Space(**{**base, "preprocessing": {"crop": True, "size": 336}}).fingerprint == one.fingerprint


def test_a_model_without_prompts_refuses_views() -> None:
    with pytest.raises(ViewError, match="reads no prompts"):
        HashEncoder().space(views.CIRR)
