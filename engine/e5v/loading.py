"""From a checkpoint's files to an encoder that is ready to run."""

from typing import Any, Literal, Unpack

from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor

from oneword.engine.checkpoint import Checkpoint, find, read_json
from oneword.engine.compiling import ready
from oneword.engine.dependencies import quiet
from oneword.engine.devices import Placement, budget, pick, quantization
from oneword.engine.e5v import assembly
from oneword.engine.e5v.encoder import E5VEncoder
from oneword.engine.e5v.image_processor import ImageProcessor
from oneword.engine.e5v.network import load_network
from oneword.engine.e5v.templates import template_of
from oneword.engine.errors import WrongCheckpoint
from oneword.engine.pretrained import configuration, image_processor, tokenizer
from oneword.engine.prompted.tokens import PromptTokens

MAX_TEXT_TOKENS = 512
"""Where a user's text is cut by default. E5-V was trained on 32 tokens (kongds/E5-V:run.sh)."""


def load_e5v(
    model: str | Checkpoint,
    *,
    quantize: Literal["int8", "nf4"] | str | None = None,
    max_text_tokens: int = MAX_TEXT_TOKENS,
    revision: str | None = None,
    name: str | None = None,
    preprocessing: str = assembly.STANDARD,
    **placement: Unpack[Placement],
) -> E5VEncoder:
    """Loads E5-V, or any LLaVA-NeXT checkpoint.

    Args:
        model: a Hugging Face id, a folder in transformers' format with safetensors weights, or one found already.
        quantize: None, "int8" or "nf4": the decoder in 8 or 4 bit, with bitsandbytes, on CUDA.
        max_text_tokens: where a user's text is cut; part of the space.
        revision: of a hub model: a branch, tag or commit.
        name: what the model is called in its space; by default `model`.
        preprocessing: of images, see `oneword.engine.e5v.assembly`; part of the space.
        placement: see `Placement`.

    Raises:
        ModelNotFound, WrongCheckpoint, MissingDependency, DeviceUnavailable
        DeviceOutOfMemory: the weights do not fit.
        ModelError: quantizing chose other layers than the decoder's.
        ModelError: no such preprocessing.
    """
    way = assembly.checked(preprocessing)
    place, number = pick(placement)
    bits = quantization(quantize, place, number)
    checkpoint = find(model, revision)
    with quiet():
        config = configuration(checkpoint)
        prompts = prompt_tokens(checkpoint, max_text_tokens, config)  # first, as it takes no minutes to be refused
        image_processor = tiling(checkpoint, prompts, config, way)
        network = ready(load_network(checkpoint, place, number, bits), placement, place)
    if way == assembly.AS_PUBLISHED:
        network.model.pack_image_features = assembly.published_packing(config)
    return E5VEncoder(
        name=name or checkpoint.model,
        # "decoder": until 2026-11-26 the tower was quantized, too, which gave other vectors.
        revision=checkpoint.revision() + (f"+{quantize}-decoder" if quantize else ""),
        network=network,
        device=place,
        dtype=number,
        tokens=prompts,
        image_processor=image_processor,
        budget=budget(
            place,
            number,
            hidden=config.text_config.hidden_size,
            intermediate=config.text_config.intermediate_size,
            placement=placement,
        ),
    )


def prompt_tokens(checkpoint: Checkpoint, max_text_tokens: int, config: Any = None) -> PromptTokens:
    """The checkpoint's way from a prompt to token ids.

    Args:
        config: the checkpoint's, if it is loaded already.

    Raises:
        WrongCheckpoint: the tokenizer cannot be used, or does not fit the model.
    """
    if config is None:
        config = configuration(checkpoint)
    found = tokenizer(checkpoint)
    _agree(checkpoint, found, config)
    return PromptTokens(found, template_of(checkpoint, found, config), config.image_token_id, max_text_tokens)


def tiling(
    checkpoint: Checkpoint,
    prompts: PromptTokens,
    config: Any,
    preprocessing: assembly.Preprocessing = assembly.STANDARD,
) -> ImageProcessor:
    """The checkpoint's way from an image to tiles and to a number of tokens.

    Raises:
        WrongCheckpoint: the image processor cannot be used, or does not fit the model.
    """
    kind = LlavaNextImageProcessorPil if preprocessing == assembly.STANDARD else assembly.PublishedImageProcessor
    processor = LlavaNextProcessor(image_processor=image_processor(checkpoint, kind), tokenizer=prompts.tokenizer)
    complete(processor, config)
    _fits(checkpoint, processor.image_processor, config)
    return ImageProcessor(processor, preprocessing)


def complete(processor: Any, config: Any) -> None:
    """Sets what a `LlavaNextProcessor` must know of its tower, which older checkpoints leave out."""
    processor.patch_size = config.vision_config.patch_size
    processor.vision_feature_select_strategy = config.vision_feature_select_strategy
    # CLIP's class token; towers such as SigLIP have none.
    processor.num_additional_image_tokens = int(config.vision_config.model_type.startswith("clip"))


def _agree(checkpoint: Checkpoint, tokenizer: Any, config: Any) -> None:
    """The tokenizer's image token must be the model's."""
    ids = tokenizer.get_added_vocab()
    image = ids.get("<image>")
    if image is None:
        raise WrongCheckpoint(f"{checkpoint.model}: the tokenizer has no <image> token: expected it to be added")
    if image != config.image_token_id:
        raise WrongCheckpoint(
            f"{checkpoint.model}: <image> is token {image} in the tokenizer and {config.image_token_id} in "
            "config.json (image_token_index): expected the same"
        )


def _fits(checkpoint: Checkpoint, images: Any, config: Any) -> None:
    """The image processor must cut the tiles that the model puts together."""
    side, patch = config.vision_config.image_size, config.vision_config.patch_size
    size, crop = images.size, images.crop_size
    edges = [size.shortest_edge] * 2 if size.shortest_edge else [size.height, size.width]
    path = checkpoint.folder / "processor_config.json"
    stated = read_json(path, checkpoint.model).get("patch_size") if path.is_file() else None
    grids = [list(grid) for grid in config.image_grid_pinpoints]
    for name, found, expected in (
        ("image_grid_pinpoints", [list(grid) for grid in images.image_grid_pinpoints], grids),
        ("size", edges, [side, side]),
        ("crop_size", [crop.height, crop.width], [side, side]),
        ("patch_size", stated or patch, patch),
    ):
        if found != expected:
            raise WrongCheckpoint(
                f"{checkpoint.model}: {name} is {found} in the image processor's settings: expected {expected}, as in "
                "config.json; take both from one checkpoint"
            )
    if off := [grid for grid in grids if grid[0] % side or grid[1] % side]:
        raise WrongCheckpoint(
            f"{checkpoint.model}: image_grid_pinpoints holds {off[0]}: expected multiples of a tile's side, {side}"
        )
