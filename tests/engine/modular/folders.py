"""Small folders as sentence-transformers saves them: a text model with prompts, one that sees, one that joins both."""

import json
import shutil
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, BertConfig, BertModel, PreTrainedTokenizerFast

from oneword.engine.checkpoint import check
from oneword.engine.dependencies import quiet
from oneword.engine.e5v.loading import prompt_tokens
from oneword.engine.training.modules import write_modules
from oneword.engine.views import DEFAULT
from tests.engine.dual.checkpoints import Sizes, clip
from tests.tiny import make_checkpoint, sentences

PROMPTS = {"query": "query: ", "document": "passage: "}

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 48,
}


def texts(folder: Path, sizes: dict[str, int] | None = None) -> Path:
    """intfloat/e5's shape: BERT, mean of the tokens, and a prompt for each side.

    Args:
        sizes: settings of a model as large as a published one.
    """
    sizes = {**SIZES, **(sizes or {})}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        [*sentences(300), *PROMPTS.values()],
        trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=sizes["max_position_embeddings"],
    )
    config = BertConfig(vocab_size=len(wrapped), **sizes)
    torch.manual_seed(0)
    base = folder.with_name(folder.name + "-base")
    with quiet():
        model = BertModel(config)
        for weight in model.parameters():
            if weight.ndim >= 2:
                torch.nn.init.normal_(weight, std=1.7 * sizes["hidden_size"] ** -0.5)
        model.save_pretrained(base)
        wrapped.save_pretrained(base)
        modules = [Transformer(str(base)), Pooling(sizes["hidden_size"]), Normalize()]
        SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save(str(folder))
    return folder


def pair(folder: Path, sizes: Sizes | None = None) -> Path:
    """CLIP by sentence-transformers, as BAAI/BGE-VL-base is: either a text or an image at a time."""
    with quiet():
        SentenceTransformer(str(clip(folder.with_name(folder.name + "-base"), sizes)), device="cpu").save(str(folder))
    return folder


def joined(folder: Path) -> Path:
    """A vision-language model with a chat template, as BAAI/BGE-VL-MLLM-S1 and Qwen3-VL-Embedding are."""
    made = make_checkpoint(folder.with_name(folder.name + "-base"))
    config = AutoConfig.from_pretrained(made)
    write_modules(made, prompt_tokens(check("base", made, None), 512, config), config, DEFAULT)
    shutil.copytree(made, folder)
    (folder / "oneword.json").unlink()
    settings = folder / "config_sentence_transformers.json"
    assert json.loads(settings.read_text())["model_type"] == "SentenceTransformer"
    return folder


def conversing(folder: Path) -> Path:
    """The same with a chat template that writes whatever images and texts a message has, in their order."""
    joined(folder)
    (folder / "chat_template.jinja").write_text(
        "{% for message in messages %}{% if message.content is string %}{{ message.content }}{% else %}"
        "{% for part in message.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endif %}{% endfor %} in one word:",
        encoding="utf-8",
    )
    return folder
