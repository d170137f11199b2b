import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from oneword.engine.basic import classifier
from oneword.engine.errors import WrongCheckpoint


def test_a_folded_norm_changes_nothing():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3, bias=False)
    norm = nn.BatchNorm2d(8, eps=classifier.EPSILON)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.1, 3)
    norm.eval()
    checkpoint = {f"_blocks.3._depthwise_conv.{key}": value for key, value in conv.state_dict().items()}
    checkpoint |= {f"_blocks.3._bn1.{key}": value for key, value in norm.state_dict().items()}
    checkpoint |= {"_fc.weight": torch.ones(1), "_fc.bias": torch.ones(1)}

    folded = classifier.fold(checkpoint)

    x = torch.randn(2, 3, 9, 9)
    ours = nn.functional.conv2d(x, folded["blocks.3.depthwise.weight"], folded["blocks.3.depthwise.bias"])
    torch.testing.assert_close(ours, norm(conv(x)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"),
    [(224, 3, 2, 0, 1), (112, 3, 1, 1, 1), (56, 5, 2, 1, 2), (7, 3, 2, 1, 1), (14, 5, 1, 2, 2)],
)
def test_padding_is_tensorflows(side, kernel, stride, before, after):
    conv = classifier.SameConv(1, 1, kernel, stride)
    x = torch.randn(1, 1, side, side)
    padded = nn.functional.pad(x, (before, after, before, after))
    torch.testing.assert_close(conv(x), nn.functional.conv2d(padded, conv.weight, conv.bias, stride))


def test_logits_and_features(weights):
    model = classifier.load_classifier(weights)
    with torch.inference_mode():
        logits, features = model(torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8))
    assert logits.shape == (2, 1000)
    assert features.shape == (2, 1280)
    with torch.inference_mode():
        torch.testing.assert_close(model.fc(features), logits, atol=1e-5, rtol=0)


def test_views_show_all_of_it_and_its_middle():
    picture = PIL.Image.new("RGB", (448, 224), (255, 0, 0))
    picture.paste((0, 0, 255), (112, 0, 336, 224))  # blue in the middle, red left and right
    whole, middle = classifier.views(picture)
    assert (whole[0] == 255).all()  # white above
    assert (whole[112, 2] == (255, 0, 0)).all()
    assert (whole[112, 112] == (0, 0, 255)).all()
    assert (middle == (0, 0, 255)).all()


@pytest.mark.parametrize("size", [(1, 1), (20000, 2), (2, 20000), (3, 1), (223, 225)])
def test_views_of_odd_sizes(size):
    looks = classifier.views(PIL.Image.new("RGB", size))
    assert looks.shape == (2, 224, 224, 3)
    assert looks.dtype == np.uint8


def test_another_checkpoint_is_refused(tmp_path):
    torch.save({"layer.weight": torch.ones(2)}, tmp_path / "other.pth")
    with pytest.raises(WrongCheckpoint, match=r"other\.pth"):
        classifier.load_classifier(tmp_path / "other.pth")
    (tmp_path / "noise.pth").write_bytes(b"noise")
    with pytest.raises(WrongCheckpoint, match=r"noise\.pth"):
        classifier.load_classifier(tmp_path / "noise.pth")
