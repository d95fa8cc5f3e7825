import re

import pytest

from photo.formats import PhotoFormat
from serving.batch.naming import told_apart
from serving.batch.output_settings import OutputSettings


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("box/one.jpg", "box/one.jpg"),
        ("../../up.jpg", "up.jpg"),
        ("/root.jpg", "root.jpg"),
        ("a/../../b.PNG", "a/b.PNG"),
        (".tintype/records/x.jpg", "_.tintype/records/x.jpg"),
        ("without", "without.png"),
        ("..", "photo.png"),
        ("nul\0.jpg", "nul.jpg"),
    ],
)
def test_no_name_leads_out_of_the_output(name, output):
    assert OutputSettings().output_name(name) == output


def test_a_pattern_and_a_format_name_the_output():
    assert (
        OutputSettings(format=PhotoFormat.WEBP, name="{folder}-{stem}{suffix}").output_name("a/box/one.tif")
        == "a/box/box-one.webp"
    )
    assert (
        told_apart("a/x.png", "/in/x.bmp") == told_apart("a/x.png", "/in/x.bmp") != told_apart("a/x.png", "/in/x.tif")
    )


@pytest.mark.parametrize(
    "name", ["{stem}", "x{suffix}", "{stem}/{suffix}", "{stem}{nonsense}{suffix}", "{stem}{suffix"]
)
def test_a_wrong_pattern_is_refused(name):
    with pytest.raises(ValueError, match=r"pattern"):
        OutputSettings(name=name)


def test_settings_that_change_pixels_are_told_apart_and_others_are_not():
    plain = OutputSettings()
    digests = {
        settings.digest("a.jpg")
        for settings in (
            plain,
            OutputSettings(quality=80),
            OutputSettings(strength=0.5),
            OutputSettings(look="vivid"),
            OutputSettings(warmth=0.5),
            OutputSettings(saturation=0.5),
            OutputSettings(reference="AAAAAA=="),
            OutputSettings(reference="AAAAAQ=="),
            OutputSettings(name="{stem}-2{suffix}"),
        )
    }
    assert len(digests) == 8
    assert plain.digest("a.png") != plain.digest("a.jpg") == plain.digest("b.JPEG")
    assert told_apart("a.jpg", "one") != told_apart("a.jpg", "two")


def test_a_digest_of_settings_never_changes_because_records_of_old_runs_are_compared_with_it() -> None:
    assert OutputSettings().digest("a.jpg") == "JPEG quality 92 strength 1"
    assert OutputSettings(strength=1.25, quality=80).digest("box/A.TIF") == "TIFF quality 80 strength 1.25"
    kept = OutputSettings(keep_tint=True)
    assert kept.digest("a.webp", has_tint=True) == "WEBP quality 92 strength 1 tint kept"
    assert kept.digest("a.bmp", has_tint=False) == "BMP quality 92 strength 1 no tint"
    assert kept.digests_as_good("a.png") == {
        "PNG quality 92 strength 1 tint kept", "PNG quality 92 strength 1 no tint"
    }  # fmt: skip
    assert OutputSettings().digests_as_good("a.png") == {
        "PNG quality 92 strength 1", "PNG quality 92 strength 1 no tint"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "output"),
    [
        (OutputSettings(), "box/a.JPG"),
        (OutputSettings(format=PhotoFormat.JPEG), "box/a.jpg"),
        (OutputSettings(suffix=".jpeg"), "box/a.jpeg"),
        (OutputSettings(suffix=".tif", format=PhotoFormat.TIFF), "box/a.tif"),
    ],
)
def test_a_suffix_can_be_spelled_in_its_own_way(settings: OutputSettings, output: str) -> None:
    assert settings.output_name("box/a.JPG") == output


def test_an_unknown_or_contradicting_suffix_is_refused() -> None:
    known = "expected a format of jpg, jpeg, jpe, jfif, png, webp, tif, tiff, bmp, received 'gif'"
    with pytest.raises(ValueError, match=re.escape(known)):
        OutputSettings(suffix=".gif")
    with pytest.raises(ValueError, match=r"expected a suffix of the format PNG, received '\.jpg'"):
        OutputSettings(suffix=".jpg", format=PhotoFormat.PNG)
