"""Texts by a model in sentence-transformers' format on vLLM, Text Embeddings Inference or Infinity.

Each of them takes strings and tokenizes them by the model's own tokenizer, so the prompt of the side is put before the
text here, and the text is cut here, where it is cut locally; the number of tokens that the server reports must be ours.
Pooling and the modules after it are the server's; what it says of its pooling must be the checkpoint's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from oneword.engine.checkpoint import Checkpoint, read_json
from oneword.engine.encoder import Side
from oneword.engine.errors import ModelError, RemoteUnavailable
from oneword.engine.inputs import Input, Text
from oneword.engine.modular import CHUNK_TOKENS, chat_template, preprocessing, prompt_of, text_tokens
from oneword.engine.plain import plain
from oneword.engine.remote import answers
from oneword.engine.remote.client import Client
from oneword.engine.space import Space
from oneword.engine.views import View, require_default


class TextsDialect:
    """OpenAI's `/embeddings` with strings.

    Args:
        id: what the server calls the model.
        name: what the model is called here.
        checkpoint: its description; weights need not be there.
        revision: of the weights, as the server or the user says; by default the checkpoint's.
        pooling: what the server says of it, such as "mean"; None if it says nothing.

    Raises:
        RemoteUnavailable: vectors of the server could not be equal to those of the model run here.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        name: str,
        checkpoint: Checkpoint,
        revision: str | None = None,
        pooling: str | None = None,
    ) -> None:
        from oneword.engine.dependencies import quiet
        from oneword.engine.pretrained import configuration, tokenizer

        self.id, self._name = id, name
        self._revision = revision or checkpoint.revision()
        with quiet():
            config, self._tokenizer = configuration(checkpoint), tokenizer(checkpoint)
        modules = json.loads((checkpoint.folder / "modules.json").read_bytes())
        paths = {str(one["type"]).rpartition(".")[2]: checkpoint.folder / str(one.get("path", "")) for one in modules}
        declared = _settings(checkpoint, "config_sentence_transformers.json")
        settings = _settings(checkpoint, "sentence_bert_config.json")
        pools = read_json(paths["Pooling"] / "config.json", checkpoint.model) if "Pooling" in paths else {}
        if why := _unequal(config, settings, pools, paths, pooling):
            raise RemoteUnavailable(
                f"{name}: {why}: its vectors would not be those of the model run here; run `oneword serve` there"
            )
        prompts = {
            side: prompt_of(declared.get("prompts") or {}, declared.get("default_prompt_name"), side) for side in Side
        }
        self._prompts = {side: prompt or "" for side, prompt in prompts.items()}
        self._limit = settings.get("max_seq_length") or min(
            self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or 10**30
        )
        self._preprocessing = preprocessing(
            modules=[str(one["type"]).rpartition(".")[2] for one in modules],
            prompts=prompts,
            text_tokens=self._limit,
            template=chat_template(self._tokenizer),
        )
        dense = read_json(paths["Dense"] / "config.json", checkpoint.model) if "Dense" in paths else {}
        sizes = (dense.get("out_features"), pools.get("embedding_dimension"), pools.get("word_embedding_dimension"))
        self.dimension = int(next(size for size in sizes if size))
        self.text_tokens = text_tokens(self._tokenizer, self._limit, prompts[Side.GALLERY])
        self.chunk_tokens = min(self.text_tokens or CHUNK_TOKENS, CHUNK_TOKENS)
        self.tokenizer: str | None = plain(self._tokenizer.backend_tokenizer.to_str(), at_start=True).to_str()

    sees = False

    def try_batches(self, client: Client) -> None:
        """Texts share requests everywhere."""

    def space(self, view: View) -> Space:
        """That of the same checkpoint run locally, taking the server's word for its weights."""
        require_default(view, self._name, "it has prompts of its own")
        return Space(
            model=self._name,
            revision=self._revision,
            view=view,
            preprocessing=self._preprocessing,
            dimension=self.dimension,
        )

    def kind(self, item: Input) -> str:
        """Texts share requests. Raises ModelError for anything else."""
        if not isinstance(item, Text):
            raise ModelError(
                f"the model {self._name!r} is asked for texts only: expected no images; leave them out, or serve a "
                "model that sees (oneword serve)"
            )
        return "text"

    def body(self, inputs: Sequence[Input], view: View, side: Side) -> dict[str, Any]:  # noqa: ARG002
        """The side's prompt and the text, as one string."""
        written = [self._written(item, side) for item in inputs if isinstance(item, Text)]
        return {"model": self.id, "encoding_format": "base64", "input": written}

    def check(self, answer: Any, inputs: Sequence[Input], view: View, side: Side) -> None:  # noqa: ARG002
        """The server's count of tokens must be ours, special ones counted or not."""
        counted = answers.prompt_tokens(answer)
        written = [self._written(item, side) for item in inputs if isinstance(item, Text)]
        if counted is None or not written:
            return
        ours = [sum(map(len, self._tokenizer(written, add_special_tokens=more)["input_ids"])) for more in (True, False)]
        if counted not in ours:
            raise RemoteUnavailable(
                f"the server counts {counted} tokens, expected {ours[0]}: it reads texts otherwise than the model does "
                "here; start it without a prompt of its own, and with room for texts as long as the model's"
            )

    def _written(self, item: Text, side: Side) -> str:
        """Cut where the model would cut."""
        whole = self._prompts[side] + item.text
        backend = self._tokenizer.backend_tokenizer
        room = int(self._limit) - backend.num_special_tokens_to_add(False)
        if len(whole) <= room:
            return whole
        offsets = backend.encode(whole, add_special_tokens=False).offsets
        return whole if len(offsets) <= room else whole[: offsets[room][0]]


def _settings(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    path = checkpoint.folder / name
    return read_json(path, checkpoint.model) if path.is_file() else {}


def _unequal(
    config: Any, settings: Mapping[str, Any], pools: Mapping[str, Any], paths: Mapping[str, Any], pooling: str | None
) -> str | None:
    """Why such a server's vectors cannot be the model's own; None if they can."""
    own = pools.get("pooling_mode") or next(
        (
            mode
            for mode in ("mean", "cls", "lasttoken")
            if pools.get(f"pooling_mode_{mode}_token{'s' * (mode == 'mean')}")
        ),
        None,
    )
    if getattr(config, "vision_config", None) is not None or "image" in settings.get("modality_config", {}):
        return "the model sees images, which this server prepares otherwise"
    if unknown := sorted(set(paths) - {"Transformer", "Pooling", "Dense", "Normalize"}):
        return f"the model has a module {unknown[0]}, which this server does not run"
    if not pools or own is None:
        return "the model's pooling is none that this server has"
    if pools.get("include_prompt") is False:
        return "the model leaves its prompt out of the pooling, which this server does not"
    if settings.get("do_lower_case"):
        return "the model's texts are lower-cased by sentence-transformers, which this server does not do"
    if pooling is not None and pooling != own:
        return f"the server pools by {pooling!r}, the model by {own!r}"
    return None
