"""A prompt, a user's texts and the sizes of images to token ids.

Only the template and the view's prompt may speak to the model in special tokens. The user's text is plain
characters, whatever it spells: `<image>` or `<|eot_id|>` in it would otherwise change the number of image
tokens or the place where the one word is read.

So the prompt, never the text, is split at added tokens; what lies between two of them, prose and text
together, is encoded by a copy of the tokenizer that has no added tokens. Prose and text are encoded as one
string because byte pairs merge across their border: for a text without special tokens the ids are those of
the plain tokenizer on the whole prompt. Between two texts of a prompt there is an image, so each has its own string.
"""

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from oneword.engine.errors import BadText
from oneword.engine.plain import plain, surroundings
from oneword.engine.views import SENTENCE

LLAMA_3 = "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"
"""E5-V's chat template, kongds/E5-V:retrieval.py `llama3_template`."""

MISTRAL = "[INST] {} [/INST]"
"""LLaVA-1.6-Mistral's, from the prompts of kongds/E5-V:retrieval.py for `llava`."""

REMEMBERED = 16_384
"""Texts whose ids are kept between planning and preparing; further ones are tokenized twice."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a prompt between two added tokens. `after` is None where no text belongs in it."""

    before: str
    after: str | None
    first: bool
    strip_left: bool  # some added tokens swallow the white space beside them
    strip_right: bool

    def filled(self, text: str) -> str:
        """The stretch with a text in its place."""
        whole = self.before if self.after is None else self.before + text + self.after
        whole = whole.lstrip() if self.strip_left else whole
        return whole.rstrip() if self.strip_right else whole


class PromptTokens:
    """Turns prompts into ids, with image tokens repeated as often as the image needs.

    Args:
        tokenizer: a transformers tokenizer with a `tokenizers` backend.
        template: the chat template, with `{}` where the view's prompt goes.
        image_token_id: which token stands for an image.
        max_text_tokens: a user's text is cut to so many tokens; the template never is.
        render: in place of the template: makes a view's prompt the whole conversation, `<sent>` where the text goes.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str,
        image_token_id: int,
        max_text_tokens: int,
        render: Callable[[str], str] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.image_token_id = image_token_id
        self.max_text_tokens = max_text_tokens
        self._added = {token.content: (id_, token) for id_, token in tokenizer.added_tokens_decoder.items()}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._border = re.compile("|".join(map(re.escape, longest_first)))
        backend = tokenizer.backend_tokenizer.to_str()
        self._at_start, self._inside = (plain(backend, at_start) for at_start in (True, False))
        self._longest = max(map(len, tokenizer.get_vocab()))
        self._prefix, self._suffix = surroundings(tokenizer)
        self.whole = lru_cache(maxsize=256)(render or partial(fill, template))
        """A view's prompt in the chat template, `<sent>` where the text goes."""
        self._compiled = lru_cache(maxsize=256)(self._compile)
        self.text_ids = lru_cache(maxsize=REMEMBERED)(self._text_ids)

    def ids(self, prompt: str, texts: tuple[str, ...], image_tokens: Sequence[int] = ()) -> list[int]:
        """Ids of a view's prompt in the chat template.

        Args:
            prompt: with a `<sent>` for each text, and an `<image>` for each image.
            texts: the user's, in their order.
            image_tokens: how many tokens each image takes, in their order.
        """
        ids: list[int] = []
        counts = iter(image_tokens)
        for id_ in self.text_ids(prompt, texts):
            ids.extend([id_] * next(counts) if id_ == self.image_token_id else (id_,))
        return ids

    def length(self, prompt: str, texts: tuple[str, ...], image_tokens: Sequence[int] = ()) -> int:
        """How many ids `ids` gives."""
        return len(self.text_ids(prompt, texts)) + sum(image_tokens) - len(image_tokens)

    def written(self, prompt: str, texts: tuple[str, ...]) -> str:
        """The whole prompt as a string with one `<image>` for an image, for whoever tokenizes it themselves.

        Raises:
            BadText: a text spells an added token. As a string it could not be distinguished from the prompt's own.
        """
        empty = self.whole(prompt)
        first, *rest = empty.split(SENTENCE)
        whole = first + "".join(self.cut(text) + after for text, after in zip(texts, rest, strict=True))
        found = self._border.findall(whole)
        if found != self._border.findall(empty):
            extra = next((token for token in found if any(token in text for text in texts)), found[0])
            raise BadText(
                f"the text spells the model's special token {extra!r}: expected plain words, as the prompt is sent as "
                "a string; embed it where the model is, or with a server of Oneword"
            )
        return whole

    def cut(self, text: str) -> str:
        """The text's longest beginning, on a character border, of at most `max_text_tokens` tokens."""
        # No token spells more characters than the longest, so what lies past this cannot be within the cap.
        text = text[: (self.max_text_tokens + 1) * self._longest]
        while True:
            offsets = self._inside.encode(text, add_special_tokens=False).offsets
            if len(offsets) <= self.max_text_tokens:
                return text
            # The first token too many starts here; a character of several tokens starts with its first one.
            text = text[: offsets[self.max_text_tokens][0]]

    def plain(self) -> str:
        """JSON of the tokenizer that a user's text is cut by: without added tokens, cutting nothing."""
        text: str = self._inside.to_str()
        return text

    def shown_ids(self, prompt: str, texts: tuple[str, ...], token: str, shown: tuple[str, ...]) -> "array[int]":
        """Ids of a view's prompt, the tokens of its images replaced.

        Args:
            token: of an image, as the whole prompt spells it.
            shown: what takes the place of each, in their order.
        """
        return self._text_ids(prompt, texts, token, shown)

    def _text_ids(
        self, prompt: str, texts: tuple[str, ...], token: str = "", shown: tuple[str, ...] = ()
    ) -> "array[int]":
        """Ids with one image token for an image, or with what is `shown` in place of the `token`."""
        left = map(self.cut, texts)
        ids = list(self._prefix)
        for part in self._compiled(prompt, token, shown):
            ids.extend(self._segment_ids(part, next(left)) if isinstance(part, Segment) else part)
        ids.extend(self._suffix)
        return array("i", ids)

    def _segment_ids(self, segment: Segment, text: str) -> list[int]:
        words = self._at_start if segment.first else self._inside
        ids: list[int] = words.encode(segment.filled(text), add_special_tokens=False).ids
        return ids

    def _compile(self, prompt: str, token: str, shown: tuple[str, ...]) -> tuple[Segment | Sequence[int], ...]:
        """The whole prompt as ids, but for the segments that the texts go into."""
        whole = self.whole(prompt)
        if shown:
            first, *rest = whole.split(token)
            whole = first + "".join(one + after for one, after in zip(shown, rest, strict=True))
        return tuple(
            part
            if isinstance(part, Segment) and part.after is not None
            else self._segment_ids(part, "")
            if isinstance(part, Segment)
            else (part,)
            for part in self._split(whole)
        )

    def _split(self, whole: str) -> Iterator[Segment | int]:
        """Added tokens as ids and what lies between them, in order."""
        start, strip_left = 0, False
        for match in [*self._border.finditer(whole), None]:
            id_, token = self._added[match[0]] if match else (None, None)
            before, mark, after = whole[start : match.start() if match else None].partition(SENTENCE)
            yield Segment(
                before=before,
                after=after if mark else None,
                first=start == 0,
                strip_left=strip_left,
                strip_right=token is not None and token.lstrip,
            )
            if match and id_ is not None and token is not None:
                yield id_
                start, strip_left = match.end(), token.rstrip


def fill(template: str, prompt: str) -> str:
    """A view's prompt in a chat template. Of two spaces at its end one is left: "word: [/INST]"."""
    before, _, after = template.partition("{}")
    return before + (prompt.rstrip(" ") if after.startswith(" ") else prompt) + after
