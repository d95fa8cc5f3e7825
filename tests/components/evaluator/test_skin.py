import numpy as np
import pytest
from skimage.data import astronaut

from components.evaluator.skin import skin_lightness, thirds
from photo.color import lab_to_rgb, rgb_to_lab

FACE = np.ascontiguousarray(astronaut()[0:224, 112:336])


def disc(lab, background=(50, -20, -20), side=64):
    """A face-coloured disc in the middle of a blue square."""
    place = np.linspace(-1, 1, side)
    inside = np.square(place)[:, None] + np.square(place) < 0.4
    return lab_to_rgb(np.where(inside[..., None], np.array(lab, np.float32), np.array(background, np.float32)))


@pytest.mark.parametrize("lightness", [25, 45, 65, 80])
def test_the_lightness_of_the_skin_colored_middle_is_found(lightness):
    assert skin_lightness(disc((lightness, 12, 18))) == pytest.approx(lightness, abs=1)


@pytest.mark.parametrize("lab", [(60, 0, 0), (60, -20, -20), (60, -15, 20), (60, 30, -20), (5, 8, 8)])
def test_other_colors_are_no_skin(lab):
    assert skin_lightness(disc(lab)) is None


def test_what_lies_at_the_edge_does_not_count():
    assert skin_lightness(disc((50, -20, -20), background=(60, 12, 18))) is None


def test_a_face_on_a_photograph_is_found_and_follows_its_light():
    lightness = skin_lightness(FACE)
    assert 55 < lightness < 90
    darker = rgb_to_lab(FACE)
    darker[..., 0] -= 20
    assert skin_lightness(lab_to_rgb(darker)) < lightness - 12


def test_thirds_are_of_equal_size_from_dark_to_light():
    groups = thirds([50, 10, 70, 20, 60, 30, 40])
    assert [group.tolist() for group in groups] == [[1, 3, 5], [6, 0], [4, 2]]
    assert [len(group) for group in thirds([5.0])] == [1, 0, 0]
