"""Stage 2: the language model learns to read scenes and sentences, and to answer.

Pictures and sentences are asked the same things in many wordings (`prompts.py`): a caption, short answers, what an
edit makes, and one word, for which each word of the scene is equally right. From the state of that one word alone the
model must then tell the caption, so that the word holds who has what and where. No picture is ever paired with a
sentence in a loss, and E5-V's own prompts do not occur.

Legend: n rows, l tokens, m marks, d dimensions, v tokens of the vocabulary.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from oneword.engine.prompted.tokens import LLAMA_3
from research.miniature import captions, edits, prompts, questions
from research.miniature.checkpoint import GRID, IMAGE_TOKENS
from research.miniature.packing import IGNORE, Branch, Packed, Row, pack
from research.miniature.scenes import Scene, draw, swapped
from research.miniature.stage import Plan, run

OPENING, _, CLOSING = LLAMA_3.partition("{}")
WEIGHTS = {"next": 1.0, "words": 0.5, "explain": 0.5}
"""Of the losses: the next token, the one word, its explanation."""
ROWS = 48  # in a step, half of them pictures


@dataclass
class Asker:
    """Turns scenes into rows of questions with answers."""

    tokenizer: Any
    rng: random.Random
    _known: dict[str, list[int]] = field(default_factory=dict)

    def ids(self, text: str) -> list[int]:
        """Of a text that special tokens surround."""
        if text not in self._known:
            if len(self._known) > 200_000:
                self._known.clear()
            self._known[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._known[text]

    def row(self, scene: Scene, *, picture: bool) -> Row:
        """What is asked of a picture, or of a sentence that says everything of it."""
        rng, what = self.rng, "image" if picture else "sentence"
        opening = self.ids(OPENING)
        if picture:
            beginning = opening + self.ids("<image>") * IMAGE_TOKENS
        else:
            beginning = opening + self.ids(captions.caption(rng, scene))
        asked = [
            self._word(prompts.one_word(rng, what), scene, explain=True),
            self._answer(prompts.describe(rng, what), captions.caption(rng, scene, full=0.85)),
            *(self._answer("\n" + question, answer) for question, answer in self._questions(scene)),
        ]
        aspect = rng.choice(list(prompts.ASPECTS))
        asked.append(self._word(prompts.based_on(rng, what, aspect), scene, *prompts.ASPECTS[aspect]))
        if made := edits.edit(rng, scene):
            text, changed = made
            if rng.random() < 0.7:
                asked.append(self._word(prompts.change(rng, what, text), changed, explain=True))
            else:
                asked.append(self._answer(prompts.change_caption(rng, what, text), captions.caption(rng, changed)))
        return Row(beginning=beginning, branches=asked, learn=None if picture else len(opening))

    def _questions(self, scene: Scene) -> list[tuple[str, str]]:
        return [questions.question(self.rng, scene) for _ in range(2)]

    def _word(self, prompt: str, scene: Scene, *kinds: str, explain: bool = False) -> Branch:
        said = [self.ids(word)[0] for word in captions.words(scene, *kinds)]
        told = self._end(prompts.EXPLAIN, captions.caption(self.rng, scene)) if explain else []
        return Branch(prompt=self.ids(prompt) + self.ids(CLOSING), words=said, explain=told)

    def _answer(self, prompt: str, answer: str) -> Branch:
        return Branch(prompt=self.ids(prompt) + self.ids(CLOSING), answer=self._end("", answer))

    def _end(self, before: str, text: str) -> list[int]:
        return [*self.ids(before), *self.ids(text), self.tokenizer.eos_token_id]


class Reader:
    """The network's language side over tower features that are computed once.

    Args:
        network: a `LlavaNextForConditionalGeneration`.
        image: the picture token's id.
    """

    def __init__(self, network: Any, image: int) -> None:
        self.network = network
        self.model = network.model
        self.image = image

    def pictures(self, features: Tensor) -> Tensor:
        """float32 (n, IMAGE_TOKENS, d): as LLaVA-NeXT lays out a whole view and a grid of one tile."""
        seen = self.model.multi_modal_projector(features)
        n, _, width = seen.shape
        newline = self.model.image_newline.view(1, 1, 1, width).expand(n, GRID, 1, width)
        grid = torch.cat([seen.view(n, GRID, GRID, width), newline], dim=2).flatten(1, 2)
        laid: Tensor = torch.cat([seen, grid], dim=1)
        return laid

    def states(self, packed: Packed, features: Tensor | None) -> Tensor:
        """float32 (n, l, d): the last states."""
        embeds = self.model.language_model.embed_tokens(packed.ids)
        if features is not None and len(features):
            seen = self.pictures(features)
            embeds = embeds.masked_scatter((packed.ids == self.image)[..., None], seen.reshape(-1, seen.shape[-1]))
        return self._run(embeds, packed.mask, packed.positions)

    def _run(self, embeds: Tensor, mask: Tensor | None, positions: Tensor | None) -> Tensor:
        states: Tensor = self.model.language_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return states

    def losses(self, packed: Packed, features: Tensor | None) -> dict[str, Tensor]:
        """Mean cross entropies of: the next tokens, the one word, its explanation."""
        states = self.states(packed, features)
        head = self.network.lm_head
        asked = packed.labels != IGNORE
        next_ = F.cross_entropy(head(states[asked]), packed.labels[asked])
        marked = states[packed.marks[:, 0], packed.marks[:, 1]]  # (m, d)
        logits = head(marked).log_softmax(-1)
        target = torch.zeros_like(logits)
        for row, said in zip(target, packed.words, strict=True):
            row[list(said)] = 1 / len(said)
        words = -(target * logits).sum(-1) - torch.special.entr(target).sum(-1)
        explained = [i for i, told in enumerate(packed.explain) if told]
        told = [list(packed.explain[i]) for i in explained]
        return {"next": next_, "words": words.mean(), "explain": self._explanation(marked[explained], told)}

    def _explanation(self, words: Tensor, told: Sequence[list[int]]) -> Tensor:
        """Cross entropy of captions that are told from one state each, (m, d), and nothing else."""
        length = max(map(len, told))
        ids = torch.zeros(len(told), length, dtype=torch.long)
        labels = torch.full((len(told), length + 1), IGNORE)
        for i, tokens in enumerate(told):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            labels[i, : len(tokens)] = torch.tensor(tokens)
        # The state goes in where a word would: all of its length is in its direction, the norm's weights being fixed.
        embeds = torch.cat([words[:, None], self.model.language_model.embed_tokens(ids)], dim=1)[:, :-1]
        states = self._run(embeds, None, None)
        kept = labels[:, :length] != IGNORE
        return F.cross_entropy(self.network.lm_head(states[kept]), labels[:, :length][kept])


def train(
    network: Any, tokenizer: Any, scenes: Sequence[Scene], features: Tensor, *, plan: Plan, seed: int, file: Path
) -> None:
    """Trains projector and language model in place.

    Args:
        scenes: of which there are pictures.
        features: fp16 (scenes, patches, d), of their pictures.
        file: of the checkpoint to go on from.
    """
    reader = Reader(network, tokenizer.convert_tokens_to_ids("<image>"))
    params = {name: param for name, param in network.named_parameters() if "vision_tower" not in name}
    known: dict[str, list[int]] = {}

    def losses(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"{seed} {step}")
        asker = Asker(tokenizer, rng, known)
        chosen = [rng.randrange(len(scenes)) for _ in range(ROWS // 2)]
        asked = [asker.row(scenes[i], picture=True) for i in chosen]
        for _ in range(ROWS // 4):
            scene = draw(rng)
            asked.append(asker.row(scene, picture=False))
            asked.append(asker.row(swapped(rng, scene, split="train") or draw(rng), picture=False))
        told = reader.losses(pack(asked), features[chosen].float())
        return {"loss": torch.stack([told[name] * weight for name, weight in WEIGHTS.items()]).sum()} | told

    run("language", params, losses, plan, file)
