"""What sentence-transformers (6 or newer) needs beside a checkpoint to give the vectors that `E5VEncoder` gives.

It puts every input through a chat template, so the view's prompts are in one. Equal are texts within the encoder's
limit that spell no special token, images, and both as one; see `tests/engine/training/test_modules.py`.
"""

import json
from pathlib import Path
from typing import Any

from oneword.engine.prompted.tokens import PromptTokens, fill
from oneword.engine.views import IMAGE, SENTENCE, Prompts, View

_STATES = {"method": "forward", "method_output_name": "last_hidden_state"}
_TYPES = (
    ("", "base.modules.transformer.Transformer"),
    ("1_Pooling", "sentence_transformer.modules.pooling.Pooling"),
    ("2_Normalize", "base.modules.normalize.Normalize"),
)
_REFUSAL = "the prompts are part of this model's chat template: pass none"


def write_modules(folder: Path, tokens: PromptTokens, config: Any, view: View) -> None:
    """Writes the files, and an `oneword.json` that keeps our own template apart from theirs.

    Args:
        folder: the checkpoint's.
        tokens: the encoder's way from prompts to ids.
        config: the checkpoint's `LlavaNextConfig`.
        view: whose prompts are used; its query side where `encode_query` asks.
    """
    vision = config.vision_config
    padding = tokens.tokenizer.pad_token or tokens.tokenizer.eos_token or next(iter(tokens.tokenizer.get_vocab()))
    settings = {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": _STATES,
            "image": _STATES,
            "image+text": _STATES,
            "message": {**_STATES, "format": "structured"},
        },
        "module_output_name": "token_embeddings",
        "processing_kwargs": {"text": {"truncation": False}},
        "processor_kwargs": {
            "backend": "pil",  # as here: torchvision rounds otherwise
            "pad_token": padding,  # any will do: it is masked
            "patch_size": vision.patch_size,
            "vision_feature_select_strategy": config.vision_feature_select_strategy,
            "num_additional_image_tokens": int(vision.model_type.startswith("clip")),
        },
    }
    (folder / "chat_template.json").unlink(missing_ok=True)  # the base's own, which would come first
    if (path := folder / "processor_config.json").is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        kept.pop("chat_template", None)
        _write(path, kept)
    _write(folder / "oneword.json", {"template": tokens.template})
    _write(folder / "sentence_bert_config.json", settings)
    _write(folder / "config_sentence_transformers.json", {"model_type": "SentenceTransformer", "prompts": {}})
    _write(
        folder / "modules.json",
        [
            {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.{kind}"}
            for idx, (path, kind) in enumerate(_TYPES)
        ],
    )
    pooling = {"embedding_dimension": config.text_config.hidden_size, "pooling_mode": "lasttoken"}
    _write(folder / "1_Pooling" / "config.json", pooling)
    (folder / "chat_template.jinja").write_text(chat_template(tokens.template, view), encoding="utf-8")


def chat_template(template: str, view: View) -> str:
    """Returns Jinja that puts one message of a text, an image or both into a view's prompts.

    Args:
        template: with `{}` where the view's prompt goes.
    """
    lines = [
        "{%- set found = namespace(text=none, image=false) -%}",
        "{%- for message in messages -%}",
        "{%- if message.role == 'system' -%}{{- raise_exception(" + json.dumps(_REFUSAL) + ") -}}{%- endif -%}",
        "{%- for part in message.content -%}",
        "{%- if part.type == 'text' -%}{%- set found.text = part.text -%}",
        "{%- elif part.type == 'image' -%}{%- set found.image = true -%}{%- endif -%}",
        "{%- endfor -%}{%- endfor -%}",
        "{%- if task is defined and task == 'query' -%}",
        _branches(template, view.query, both=view.query.composed),
        "{%- else -%}",
        _branches(template, view.gallery, both=view.gallery.document),
        "{%- endif -%}",
    ]
    return "\n".join(lines)


def _branches(template: str, prompts: Prompts, *, both: str) -> str:
    return (
        f"{{%- if found.text is none -%}}{_written(template, prompts.image)}\n"
        f"{{%- elif found.image -%}}{_written(template, both)}\n"
        f"{{%- else -%}}{_written(template, prompts.text)}{{%- endif -%}}"
    )


def _written(template: str, prompt: str) -> str:
    """Returns Jinja that writes a prompt; strings of JSON are strings of Jinja."""
    before, mark, after = fill(template, prompt).partition(SENTENCE)
    assert mark or IMAGE in before
    parts = [json.dumps(before), *(["found.text", json.dumps(after)] if mark else [])]
    return "{{- " + " ~ ".join(parts) + " -}}"


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
