"""From a checkpoint's files to a vision-language model that is ready to be asked for one word."""

from typing import Any, Unpack

from transformers import PROCESSOR_MAPPING, AutoImageProcessor, AutoModel

from oneword.engine.catalog import Description
from oneword.engine.checkpoint import LLAVA_NEXT, PROMPTED, Checkpoint, find
from oneword.engine.compiling import ready
from oneword.engine.dependencies import quiet
from oneword.engine.devices import Placement, budget, pick
from oneword.engine.e5v.loading import complete
from oneword.engine.errors import MissingDependency, WrongCheckpoint
from oneword.engine.pretrained import configuration, image_processor, tokenizer, weights
from oneword.engine.prompted.encoder import PromptedEncoder
from oneword.engine.prompted.images import Images
from oneword.engine.prompted.templates import chat
from oneword.engine.prompted.tokens import PromptTokens
from oneword.engine.views import IMAGE

MAX_TEXT_TOKENS = 512
"""Where a user's text is cut, and maximum tokens of a chunk, unless the model's description says otherwise."""


def load_prompted(
    model: str | Checkpoint,
    *,
    revision: str | None = None,
    known: Description | None = None,
    **placement: Unpack[Placement],
) -> PromptedEncoder:
    """Loads a vision-language model: LLaVA-OneVision, Qwen-VL, InternVL, SmolVLM, Gemma 3, and those made of them.

    It is asked as E5-V is, by the view's prompts in its own chat template, unless its description has prompts.

    Args:
        model: a Hugging Face id, a folder in transformers' format with safetensors weights, or one found already.
        revision: of a hub model: a branch, tag or commit.
        known: description with the prompts and the pixel budget that the model was trained with.
        placement: see `Placement`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
        DeviceOutOfMemory: the weights do not fit.
    """
    place, number = pick(placement)
    checkpoint = find(model, revision, expected=PROMPTED)
    with quiet():
        config = configuration(checkpoint)
        made = processor(checkpoint, config, known.pixels if known else ())
        images = Images(made, known.square if known else None)
        tokens = prompt_tokens(checkpoint, made, known)
        network = ready(weights(checkpoint, AutoModel, place, number), placement, place)
    text = config.get_text_config()
    padding = made.tokenizer.pad_token_id
    return PromptedEncoder(
        name=checkpoint.model,
        revision=checkpoint.revision(),
        dimension=int(text.hidden_size),
        padding=padding if padding is not None else int(tokens.image_token_id == 0),
        network=network,
        device=place,
        dtype=number,
        tokens=tokens,
        images=images,
        own=known.view if known else None,
        chunk_tokens=tokens.max_text_tokens,
        budget=budget(
            place,
            number,
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            placement=placement,
        ),
    )


def processor(checkpoint: Checkpoint, config: Any, pixels: tuple[int, ...] = ()) -> Any:
    """Returns the checkpoint's processor for texts and images, by Pillow, without the part for videos.

    That part needs torchvision; and Pillow's pixels are the same with and without it.

    Args:
        pixels: lowest and highest number of an image; empty for the checkpoint's own.

    Raises:
        WrongCheckpoint: it cannot be loaded.
        MissingDependency: it needs a package that is not installed.
    """
    kind = PROCESSOR_MAPPING[type(config)]
    budgeted = {"size": dict(zip(("shortest_edge", "longest_edge"), pixels, strict=True))} if pixels else {}
    parts = {
        "image_processor": image_processor(checkpoint, AutoImageProcessor, backend="pil", **budgeted),
        "tokenizer": tokenizer(checkpoint),
    }
    try:
        settings, _ = kind.get_processor_dict(checkpoint.folder, local_files_only=True)
        made = _still(kind).from_args_and_dict([parts.get(name) for name in kind.get_attributes()], settings)
        if checkpoint.architecture in LLAVA_NEXT:
            complete(made, config)
        if made.tokenizer.pad_token is None:
            made.tokenizer.pad_token = made.tokenizer.eos_token
        return made
    except ImportError as error:
        raise MissingDependency(f"{checkpoint.model}: its processor needs a package: {error}") from error
    except Exception as error:  # a malformed file may raise anything
        raise WrongCheckpoint(f"{checkpoint.model}: the processor cannot be loaded: {error}") from error


def _still(kind: Any) -> Any:
    """Returns a processor's class that goes without what it is not given."""

    class Still(kind):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            return argument if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    return Still


def prompt_tokens(checkpoint: Checkpoint, processor: Any, known: Description | None) -> PromptTokens:
    """Returns the checkpoint's way from a prompt to token ids.

    Raises:
        WrongCheckpoint: there is no chat template, or it cannot be used.
    """
    found, token = processor.tokenizer, processor.image_token
    if known is not None and known.view is not None:
        return PromptTokens(
            found, "{}", processor.image_token_id, known.text_tokens, lambda prompt: prompt.replace(IMAGE, token)
        )
    return PromptTokens(found, "{}", processor.image_token_id, MAX_TEXT_TOKENS, chat(checkpoint, found, token))
