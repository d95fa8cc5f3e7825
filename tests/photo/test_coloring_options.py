"""How a photograph may be coloured, and into what kind of file."""

import math

import pytest

from photo.coloring_options import ColoringOptions
from photo.formats import FORMAT_OF_SUFFIX, PhotoFormat


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"strength": -0.1}, "expected a strength of at least 0, received -0.1"),
        ({"strength": math.nan}, "expected a strength of at least 0, received nan"),
        ({"strength": math.inf}, "expected a strength of at least 0, received inf"),
        ({"quality": 0}, r"expected a quality of 1\.\.100, received 0"),
        ({"quality": 101}, r"expected a quality of 1\.\.100, received 101"),
        ({"format": "GIF"}, r"expected a format of \['BMP', 'JPEG', 'PNG', 'TIFF', 'WEBP'\], received 'GIF'"),
    ],
)
def test_a_value_that_can_never_work_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        ColoringOptions(**wrong)


def test_a_format_may_come_as_the_word_of_a_file():
    assert ColoringOptions(format="PNG").format is PhotoFormat.PNG
    assert ColoringOptions().format is None


def test_a_format_is_its_name_and_has_a_suffix_that_leads_back_to_it():
    assert f"{PhotoFormat.JPEG}" == PhotoFormat.JPEG == "JPEG"
    assert PhotoFormat.JPEG.suffix == ".jpg"
    assert all(FORMAT_OF_SUFFIX[format.suffix] is format.written_as for format in PhotoFormat)
