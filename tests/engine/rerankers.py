"""Small rerankers with random weights: one that reads texts, as most do, and one that sees, as Qwen3-VL-Reranker."""

from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from oneword.engine.dependencies import quiet
from tests.engine.modular.folders import SIZES, texts
from tests.engine.prompted.checkpoints import smolvlm


def reading(folder: Path, labels: int = 1) -> Path:
    """BERT with a score for a pair, in transformers' format alone."""
    texts(folder.with_name(folder.name + "-texts"))
    tokenizer = AutoTokenizer.from_pretrained(folder.with_name(folder.name + "-texts-base"))
    torch.manual_seed(1)
    with quiet():
        model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=labels, **SIZES))
        for weight in model.parameters():
            if weight.ndim >= 2:
                torch.nn.init.normal_(weight, std=1.7 * SIZES["hidden_size"] ** -0.5)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def seeing(folder: Path) -> Path:
    """A vision-language model whose score is how much rather it would say one token than another."""
    with quiet():
        base = Transformer(str(smolvlm(folder.with_name(folder.name + "-base"))), transformer_task="any-to-any")
        modules = [base, LogitScore(true_token_id=40, false_token_id=41)]
        CrossEncoder(modules=modules, device="cpu").save(str(folder))
    return folder
