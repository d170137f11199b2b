"""vLLM with a vision-language model: prompts are applied here, as where the model runs; the server runs the weights.

Texts go as token ids, so a text that spells a special token stays plain, as it does locally. Images can only go as
chat messages, a conversation for each; a chat template, which the server must be started with, joins their parts and
adds nothing. The server then tokenizes a string, so texts that spell special tokens are refused beside images
(`PromptTokens.written`). Newer servers take several conversations a request (`VllmDialect.try_batches`).

The weights are the server's word: neither vLLM nor we can prove which it runs. What can be seen is checked: the length
of vectors, and the number of tokens in the prompt, which another chat template or a silent cut would change.
"""

from collections.abc import Sequence
from typing import Any

import PIL.Image

from oneword.engine.checkpoint import Checkpoint
from oneword.engine.encoder import Side
from oneword.engine.errors import RemoteUnavailable
from oneword.engine.inputs import Image, Input, Text
from oneword.engine.prompted.prompts import prompted
from oneword.engine.remote import answers
from oneword.engine.remote.client import Client, Rejected
from oneword.engine.remote.dialect import data_uri
from oneword.engine.remote.prompting import Prompting
from oneword.engine.space import Space
from oneword.engine.views import DEFAULT, View

CHAT_TEMPLATE = (
    "{%- for message in messages -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'text' -%}{{ part['text'] }}{%- else -%}<image>{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
)
"""For `vllm serve --chat-template` with `--chat-template-content-format openai`: parts in order, nothing else.

`<image>` is what stands for an image in LLaVA-NeXT; in Qwen-VL that is `<|image_pad|>`."""


class VllmDialect:
    """vLLM's `/embeddings` (vllm-project/vllm: `EmbeddingCompletionRequest`, `EmbeddingChatRequest` and, for batches of
    conversations, `EmbeddingBatchChatRequest`, in pooling/embed/protocol.py).

    Args:
        id: what the server calls the model.
        name: what the model is called here.
        checkpoint: its description; weights need not be there.
        asked: how the model is asked.
        revision: of the weights, as the user says; by default the checkpoint's.
    """

    sees = True

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        name: str,
        checkpoint: Checkpoint,
        asked: Prompting,
        revision: str | None = None,
    ) -> None:
        self.id = id
        self.batches = False
        self._name = name
        self._revision = revision or checkpoint.revision()
        self._asked, self._tokens = asked, asked.tokens
        self.dimension = asked.dimension
        self.chunk_tokens = asked.chunk_tokens
        self.text_tokens: int | None = asked.text_tokens

    def space(self, view: View) -> Space:
        """That of the same checkpoint run locally, taking the server's word for its weights."""
        return Space(
            model=self._name,
            revision=self._revision,
            view=view,
            preprocessing=self._asked.preprocessing(view),
            dimension=self.dimension,
        )

    @property
    def tokenizer(self) -> str:
        """As that of the model run locally."""
        return self._tokens.plain()

    def try_batches(self, client: Client) -> None:
        """Lets images share requests from now on, if the server embeds two of them in one."""
        two = [Image(pixels=PIL.Image.new("RGB", size, "grey")) for size in ((64, 48), (48, 64))]
        try:
            answer = client.post("/embeddings", self.body(two, DEFAULT, Side.GALLERY))
            answers.vectors(answer, len(two), self.dimension)
            self.check(answer, two, DEFAULT, Side.GALLERY)
        except (Rejected, RemoteUnavailable):  # older servers take a list of conversations for a malformed one
            return
        self.batches = True

    def kind(self, item: Input) -> str | None:
        """Texts share requests; images do where the server takes several conversations in one."""
        if isinstance(item, Text):
            return "text"
        return "picture" if self.batches else None

    def body(self, inputs: Sequence[Input], view: View, side: Side) -> dict[str, Any]:
        """Token ids of texts; or the messages of an image, or a list of such for several.

        Raises:
            BadText: beside an image, a text that spells a special token.
        """
        body: dict[str, Any] = {"model": self.id, "encoding_format": "base64"}
        if isinstance(inputs[0], Text):
            return body | {"input": [self._ids(item, view, side) for item in inputs]}
        conversations = [self._messages(item, view, side) for item in inputs]
        # With messages vLLM adds no beginning-of-text unless told to, as chat templates mostly write it themselves.
        messages = conversations if len(inputs) > 1 else conversations[0]
        return body | {"messages": messages, "add_special_tokens": True}

    def _messages(self, item: Input, view: View, side: Side) -> list[dict[str, Any]]:
        prompt, texts, images = self._prompted(item, view, side)
        first, *rest = self._tokens.written(prompt, texts).split(self._asked.mark)
        content: list[dict[str, Any]] = [{"type": "text", "text": first}]
        for image, after in zip(images, rest, strict=True):
            url = data_uri(Image(pixels=self._asked.shown(image.pixels)))
            content += [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": after}]
        return [{"role": "user", "content": [part for part in content if part.get("text") != ""]}]

    def check(self, answer: Any, inputs: Sequence[Input], view: View, side: Side) -> None:
        """The server's prompts must have as many tokens as ours, image tokens spread out or not."""
        counted = answers.prompt_tokens(answer)
        if counted is None:
            return
        spread = sum(self._length(item, view, side, spread=True) for item in inputs)
        if counted not in (spread, sum(self._length(item, view, side, spread=False) for item in inputs)):
            raise RemoteUnavailable(
                f"the server counts {counted} tokens in the prompt, expected {spread}: it reads prompts otherwise than "
                "we do; start it as docs/remote.md says, with its chat template and a --max-model-len that suffices"
            )

    def _ids(self, item: Input, view: View, side: Side) -> list[int]:
        prompt, texts, _ = self._prompted(item, view, side)
        return self._tokens.ids(prompt, texts)

    def _length(self, item: Input, view: View, side: Side, *, spread: bool) -> int:
        prompt, texts, images = self._prompted(item, view, side)
        return self._tokens.length(prompt, texts, [self._asked.count(image.size) if spread else 1 for image in images])

    def _prompted(self, item: Input, view: View, side: Side) -> tuple[str, tuple[str, ...], tuple[Image, ...]]:
        return prompted(item, self._asked.followed(view), side)
