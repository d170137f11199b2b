"""MTEB runs our encoders, on a task defined here. Needs mteb: `make test-mteb`."""

import numpy as np
import PIL.Image
import pytest

mteb = pytest.importorskip("mteb")
pytestmark = pytest.mark.filterwarnings("ignore")


def task() -> object:
    """Words find pictures, and a text of the same words, as an MTEB retrieval task."""
    import datasets
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class Colours(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = TaskMetadata(
            name="Colours",
            description="Texts that find themselves.",
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            dataset={"path": "none", "revision": "1"},
            date=None,
            domains=None,
            task_subtypes=None,
            license=None,
            annotations_creators=None,
            dialect=None,
            sample_creation=None,
            bibtex_citation=None,
            reference=None,
        )

        def load_data(self, *_: object, **__: object) -> None:
            words = ["a red square", "the blue sea", "green hills far away"]
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": datasets.Dataset.from_list(
                            [{"id": f"d{i}", "text": text, "title": ""} for i, text in enumerate(words)]
                        ),
                        "queries": datasets.Dataset.from_list(
                            [{"id": f"q{i}", "text": text} for i, text in enumerate(words)]
                        ),
                        "relevant_docs": {f"q{i}": {f"d{i}": 1} for i in range(3)},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return Colours()


def test_a_retrieval_task() -> None:
    from oneword.engine.evaluation.mteb import MtebModel

    results = mteb.evaluate(MtebModel("hash"), task(), cache=None)
    (scores,) = results.task_results[0].scores["test"]
    assert scores["ndcg_at_10"] == 1.0


def test_pictures_texts_and_both() -> None:
    from mteb.types import PromptType

    from oneword.engine import Composed, Document, Image, Side, Text, encode
    from oneword.engine.evaluation.mteb import MtebModel
    from oneword.engine.views import DEFAULT

    model = MtebModel("hash")
    red = PIL.Image.new("RGB", (8, 8), "red")
    picture = Image(pixels=red)
    mixed = [{"image": [red, red], "text": ["in blue", ""]}, {"text": ["words", " "]}, {"image": [red]}]
    queries = model.encode(mixed, prompt_type=PromptType.query)
    documents = model.encode(mixed, prompt_type=PromptType.document)
    expected = [Composed(image=picture, edit="in blue"), picture, Text(text="words"), Text(text="."), picture]
    np.testing.assert_array_equal(queries, encode(model.model, expected, DEFAULT, Side.QUERY))
    expected[0] = Document(image=picture, text="in blue")
    np.testing.assert_array_equal(documents, encode(model.model, expected, DEFAULT, Side.GALLERY))
