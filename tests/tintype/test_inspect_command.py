import io
import json
from datetime import UTC, datetime

import numpy as np
import tifffile
from PIL import Image
from typer.testing import CliRunner

from photo.coloring_options import ColoringOptions
from photo.encoding import encode_coloring, encode_photo
from photo.formats import PhotoFormat
from photo.metadata import Metadata
from photo.provenance import Provenance
from photo.version import __version__
from tintype.cli import app

PROVENANCE = Provenance("f00dcafe", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
COLOR = np.repeat(np.array([[(200, 90, 80), (70, 120, 200)]], np.uint8), 30, axis=1).repeat(40, axis=0)


def inspect(*arguments):
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def test_a_result_says_who_coloured_it_and_when(tmp_path):
    for format in (PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.TIFF, PhotoFormat.WEBP):
        file = tmp_path / f"a{format.suffix}"
        file.write_bytes(encode_coloring(COLOR, format, Metadata(comment=b"x"), ColoringOptions(), PROVENANCE).data)
        done = inspect(file)
        assert done.exit_code == 0
        assert f"{format}, 60 x 40, 8 bits a channel, in colour" in done.stdout
        said = f"coloured by a machine: Tintype {__version__}, model f00dcafe, at 2031-05-06T07:08:09+00:00"
        assert said in done.stdout


def test_json_tells_of_each_file_and_a_broken_one_stops_nothing(tmp_path):
    (tmp_path / "gray.png").write_bytes(encode_photo(np.full((8, 9, 3), 99, np.uint16), "PNG"))
    (tmp_path / "text.jpg").write_text("no photograph")
    pages = io.BytesIO()
    tifffile.imwrite(pages, np.full((3, 8, 9), 99, np.uint8), photometric="minisblack")
    (tmp_path / "album.tif").write_bytes(pages.getvalue())
    names = ["gray.png", "text.jpg", "missing.jpg", "album.tif"]
    done = inspect("--json", *(tmp_path / name for name in names))
    assert done.exit_code == 1
    gray, text, missing, album = json.loads(done.stdout)
    assert (gray["bits"], gray["has_color"], gray["is_machine_colored"], gray["metadata"]) == (16, False, False, [])
    assert "not a photograph" in text["error"]
    assert "cannot read" in missing["error"]
    assert album["pages"] == 3
    done = inspect(*(tmp_path / name for name in names))
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 2
    assert "Traceback" not in done.output


def test_another_program_s_word_is_taken_and_silence_is_named(tmp_path):
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:I="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" I:DigitalSourceType="'
        b'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
    )
    Image.fromarray(COLOR).save(tmp_path / "other.jpg", xmp=packet)
    assert "says that a machine made the colours, and not which" in inspect(tmp_path / "other.jpg").stdout
    Image.fromarray(COLOR).save(tmp_path / "silent.jpg")
    assert "says nothing of colours made by a machine" in inspect(tmp_path / "silent.jpg").stdout


def test_white_around_an_oval_portrait_does_not_hide_its_colour(tmp_path):
    oval = np.zeros(COLOR.shape[:2], np.uint8)
    oval[15:25, 20:40] = 255
    Image.fromarray(np.dstack([COLOR, oval])).save(tmp_path / "oval.png")
    Image.fromarray(np.dstack([COLOR, 0 * oval])).save(tmp_path / "empty.png")
    assert "in colour" in inspect(tmp_path / "oval.png").stdout
    assert "gray or toned" in inspect(tmp_path / "empty.png").stdout
