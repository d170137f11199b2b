"""The stages that build the miniature: their parts against plain torch, and the whole in small."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from oneword.engine import Image, encode
from oneword.engine.e5v import load_e5v
from oneword.engine.views import DEFAULT
from research.miniature import sets
from research.miniature.build import QUICK, build
from research.miniature.checkpoint import IMAGE_TOKENS, make
from research.miniature.language import Asker, Reader
from research.miniature.muon import orthogonal
from research.miniature.packing import IGNORE, Branch, Row, pack
from research.miniature.scenes import draw
from research.miniature.vision import all_features, normalized

SMALL = replace(QUICK, pictures=16)


def test_muon_brings_singular_values_near_one() -> None:
    matrices = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(0))
    for given in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonal(given))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_packed_branches_equal_separate_rows() -> None:
    network, tokenizer, _ = make(0)
    reader = Reader(network, tokenizer.convert_tokens_to_ids("<image>"))
    rows = [
        Row(beginning=[5, 6, 7], branches=[Branch(prompt=[8, 9], words=[3]), Branch(prompt=[10], answer=[11, 12, 13])]),
        Row(beginning=[5, 6, 7, 20, 21, 22], branches=[Branch(prompt=[8], words=[4])], learn=2),
    ]
    packed = pack(rows)
    states = reader.states(packed, None)
    for row, column, ids in [
        (0, 4, [5, 6, 7, 8, 9]),
        (0, 7, [5, 6, 7, 10, 11, 12]),
        (1, 6, [5, 6, 7, 20, 21, 22, 8]),
    ]:
        alone = network.model.language_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        torch.testing.assert_close(states[row, column], alone, atol=1e-5, rtol=1e-4)
    assert packed.labels[0, 5:8].tolist() == [11, 12, 13]
    assert packed.labels[1, 1:5].tolist() == [7, 20, 21, 22], "a sentence itself is foretold too"
    assert packed.labels[0, 4] == IGNORE
    assert packed.marks.tolist() == [[0, 4], [1, 6]]


def test_pictures_reach_the_language_model_as_llava_next_lays_them_out() -> None:
    network, tokenizer, processor = make(0)
    reader = Reader(network, tokenizer.convert_tokens_to_ids("<image>"))
    picture = sets.picture(sets.scenes(1, 0)[0])().pixels
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    processed = processor(images=[picture], return_tensors="pt")
    torch.testing.assert_close(processed["pixel_values"][0, 0], normalized(pixels, processor)[0], atol=1e-5, rtol=0)
    ids = torch.tensor([[4, *([reader.image] * IMAGE_TOKENS), 6]])
    with torch.no_grad():
        theirs = network.model(input_ids=ids, **processed).last_hidden_state
        packed = pack([Row(beginning=ids[0].tolist(), branches=[])])
        mine = reader.states(packed, all_features(network.model.vision_tower, processor, pixels).float())
    torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=0)  # features are kept in fp16


def test_the_whole_in_small_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.miniature.language.ROWS", 8)
    whole = build(tmp_path / "whole", size=SMALL)
    asked = Asker.row

    def dies(self: Asker, *arguments: object, **named: object) -> Row:
        if (tmp_path / "broken" / "language.pt").exists():
            raise KeyboardInterrupt
        return asked(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Asker, "row", dies)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "broken", size=SMALL)
    monkeypatch.setattr(Asker, "row", asked)
    resumed = build(tmp_path / "broken", size=SMALL)
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-3, rtol=0)
    encoder = load_e5v(str(whole), device="cpu")
    encode(encoder, [Image(pixels=sets.picture(draw(random.Random(0)))().pixels)], DEFAULT)
