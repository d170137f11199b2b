"""Views: the named prompts that ask a model for its one word.

A view has two sides. The *gallery* side describes what is stored, the *query* side what is asked; they differ
where a task needs it (a composed query says how to change the image, the gallery only describes it).
Prompts hold the placeholders `<image>` and `<sent>`, as E5-V's reference writes them; the model's chat
template is put around them by its encoder.

The gallery prompts are part of the embedding space: an index built with one view does not answer another's
queries. So a collection is bound to its view.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from oneword.engine.errors import ViewError

IMAGE = "<image>"
SENTENCE = "<sent>"

_PLACEHOLDERS = {
    "text": (SENTENCE,),
    "image": (IMAGE,),
    "document": (IMAGE, SENTENCE),
    "composed": (IMAGE, SENTENCE),
}


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """One prompt for each kind of input, without the chat template.

    Raises:
        ViewError: a placeholder is missing or occurs twice.
    """

    text: str
    image: str
    document: str
    composed: str

    def __post_init__(self) -> None:
        for kind, expected in _PLACEHOLDERS.items():
            prompt = getattr(self, kind)
            if not isinstance(prompt, str):
                raise ViewError(f"prompt {kind!r} is {prompt!r}: expected a string")
            for mark in (IMAGE, SENTENCE):
                count = prompt.count(mark)
                if count != (mark in expected):
                    raise ViewError(
                        f"prompt {kind!r} is {prompt!r}: expected {mark} "
                        f"{'once' if mark in expected else 'not at all'}, found it {count} times"
                    )


@dataclass(frozen=True, kw_only=True)
class View:
    """A named pair of prompt sets."""

    name: str
    query: Prompts
    gallery: Prompts

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: {"name", "query": {...}, "gallery": {...}}."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields_: Mapping[str, Any]) -> "View":
        """The inverse of `as_dict`.

        Raises:
            ViewError: malformed.
        """
        try:
            return cls(name=fields_["name"], query=Prompts(**fields_["query"]), gallery=Prompts(**fields_["gallery"]))
        except (KeyError, TypeError) as error:
            raise ViewError(f"not a view: {dict(fields_)!r} ({error})") from error


# kongds/E5-V:retrieval.py, `ir` (text, image) and `cir` (composed); document: VLM2Vec's way of joining both,
# arXiv 2410.05160, in E5-V's words.
_SUMMARY = Prompts(
    text="<sent>\nSummary above sentence in one word: ",
    image="<image>\nSummary above image in one word: ",
    document="<image>\n<sent>\nSummary above image and text in one word: ",
    composed='<image>Modify this image with "<sent>", desribe modified image in one word:',
)
DEFAULT = View(name="default", query=_SUMMARY, gallery=_SUMMARY)

# kongds/E5-V:retrieval.py, `main`; the spelling is the reference's own.
_CIRR = replace(_SUMMARY, image="<image>\n Describe this image in one word:")
CIRR = View(name="cirr", query=_CIRR, gallery=_CIRR)


def _fashioniq(garment: str) -> View:
    prompts = replace(
        _SUMMARY,
        image=f"<image>\n Describe this {garment} in one word based on its style:",
        composed=f"<image> change the style of this {garment} to <sent>\n "
        f"Desribe this modified {garment} in one word based on its style:",
    )
    return View(name=f"fashioniq-{garment}", query=prompts, gallery=prompts)


FASHIONIQ_DRESS = _fashioniq("dress")
FASHIONIQ_SHIRT = _fashioniq("shirt")  # also for FashionIQ's "toptee"

# Our own words, not measured: a page is to be near what it is about, whatever it looks like.
PAGES = View(
    name="pages",
    query=replace(_SUMMARY, text="<sent>\nSummary the document page that answers above in one word: "),
    gallery=replace(_SUMMARY, image="<image>\nSummary the content of above document page in one word: "),
)

BUILT_IN = {view.name: view for view in (DEFAULT, CIRR, FASHIONIQ_DRESS, FASHIONIQ_SHIRT, PAGES)}


def get(name: str) -> View:
    """Returns a built-in view by name, or a view from the path of a TOML file.

    The file names the view and whichever prompts differ from the default's; `[query]` and `[gallery]` set one
    side only:

        name = "colors"
        image = "<image>\\nDescribe this image in one word based on its colors:"
        text = "<sent>\\nDescribe the colors of the above in one word:"

    Raises:
        ViewError: neither a built-in name nor a readable, well-formed file.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise ViewError(
            f"no view is called {name!r}: expected one of {', '.join(BUILT_IN)}, or the path of a .toml file"
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ViewError(f"view file {name!r} cannot be read: {error}") from error
    return _from_toml(table, name)


def require_default(view: View, model: str, reason: str = "it reads no prompts") -> None:
    """Raises ViewError unless the view is the default one, for a model that cannot follow any other."""
    if view != DEFAULT:
        raise ViewError(
            f"the model {model!r} cannot follow the view {view.name!r}: {reason}, so 'default' is its only view; leave "
            "the view out, or use a model that reads prompts, such as E5-V"
        )


def _from_toml(table: dict[str, Any], where: str) -> View:
    kinds = {field.name for field in fields(Prompts)}
    sides = {side: table.pop(side, {}) for side in ("query", "gallery")}
    name = table.pop("name", None)
    if not isinstance(name, str) or not name or name in BUILT_IN:
        raise ViewError(f"view file {where!r} has name = {name!r}: expected a string that is not a built-in view's")
    for side, prompts in sides.items():
        if not isinstance(prompts, dict):
            raise ViewError(f"view file {where!r} has {side} = {prompts!r}: expected a table of prompts")
    unknown = (set(table) | set(sides["query"]) | set(sides["gallery"])) - kinds
    if unknown:
        raise ViewError(
            f"view file {where!r} has {', '.join(sorted(unknown))}: "
            f"expected name, {', '.join(sorted(kinds))}, [query], [gallery]"
        )
    both = replace(_SUMMARY, **table)
    return View(name=name, query=replace(both, **sides["query"]), gallery=replace(both, **sides["gallery"]))
