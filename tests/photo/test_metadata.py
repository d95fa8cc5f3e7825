"""What a file says of its photograph is in the file of its result, as independent readers find it there."""

import io
import struct
import zlib
from datetime import UTC, datetime
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, PngImagePlugin

from photo.apply_ab import apply_ab
from photo.coloring_options import ColoringOptions
from photo.decoding import decode_photo
from photo.encoding import ColoredPage, EncodedColoring, encode_colored_pages, encode_coloring, encode_photo
from photo.formats import PhotoFormat
from photo.metadata import Metadata, as_iptc_resource
from photo.provenance import MACHINE_COLORED, Provenance
from photo.version import __version__
from photo.xmp import read_coloring

GRAY = np.repeat(np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))[..., None], 3, axis=-1)
IPTC = b"\x1c\x02\x05\x00\x07Harbour" + b"\x1c\x02\x74\x00\x06Museum"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:own="urn:own"'
    ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" own:shelf="7" '
    'tiff:Orientation="6" xmp:CreatorTool="Scan Studio 3"><!-- a remark --><dc:title><rdf:Alt>'
    '<rdf:li xml:lang="x-default">Hafen, Öl</rdf:li></rdf:Alt></dc:title></rdf:Description>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
PROVENANCE = Provenance("f00dcafe", datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC))
SOFTWARE = f"Tintype {__version__}, model f00dcafe"
WITH_XMP = [PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.TIFF, PhotoFormat.WEBP]
ORIENTATION, EXIF, GPS, INTEROPERABILITY, MAKER_NOTE = 0x0112, 0x8769, 0x8825, 0xA005, 0x927C


def scanner_exif(maker_note: bytes = b"") -> bytes:
    """An EXIF block that says much, with a thumbnail behind it."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0131], exif[ORIENTATION] = "Kodak", "Scan Studio 3", 6
    exif[0x010E], exif[0x8298], exif[0x9C9B] = "Harbour", "A Museum", "Hafen".encode("utf-16-le")
    details = exif.get_ifd(EXIF)
    details[0x9003], details[0xA002], details[0xA003], details[0xA001] = "1910:05:01 12:00:00", 64, 48, 0xFFFF
    if maker_note:
        details[MAKER_NOTE] = maker_note
    exif.get_ifd(GPS)[1] = "N"
    return exif.tobytes()


def jpeg(**options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def colored(data: bytes, format: PhotoFormat | None = None, **options) -> EncodedColoring:
    photo = decode_photo(data)
    settings = ColoringOptions(**options)
    return encode_coloring(photo.rgb, format or photo.format, photo.metadata, settings, PROVENANCE)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def xmp_of(data: bytes) -> bytes:
    """The XMP packet, as Pillow and tifffile find it."""
    image = opened(data)
    packet = image.info.get("xmp") or image.tag_v2[700]
    return packet if isinstance(packet, bytes) else packet.encode()


@pytest.mark.parametrize("format", WITH_XMP)
def test_exif_is_kept_whole_and_made_true(format):
    segment = b"Photoshop 3.0\0" + as_iptc_resource(IPTC)
    data = jpeg(exif=scanner_exif(), xmp=XMP, comment=b"box 7", dpi=(600, 600),
                extra=b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment)  # fmt: skip
    result = colored(data, format)
    exif = opened(result.data).getexif()
    kept = {tag: exif.get(tag) for tag in (0x010F, 0x010E, 0x8298)}
    assert kept == {0x010F: "Kodak", 0x010E: "Harbour", 0x8298: "A Museum"}
    assert exif.get(ORIENTATION, 1) == 1
    details = exif.get_ifd(EXIF)
    assert (details[0x9003], details[0xA001]) == ("1910:05:01 12:00:00", 1)
    assert (details[0xA002], details[0xA003]) == opened(result.data).size == (48, 64)
    assert exif.get_ifd(GPS)[1] == "N"
    assert b"Hafen, \xc3\x96l" in xmp_of(result.data)


@pytest.mark.parametrize("format", WITH_XMP)
def test_every_file_says_that_a_machine_made_the_colours(format):
    result = colored(jpeg(exif=scanner_exif(), xmp=XMP), format)
    assert opened(result.data).getexif()[0x0131] == SOFTWARE
    packet = xmp_of(result.data)
    assert read_coloring(packet) == read_coloring(xmp_of(colored(result.data).data))
    text = packet.decode()
    assert f">{MACHINE_COLORED}</Iptc4xmpExt:DigitalSourceType>" in text
    assert f">{SOFTWARE}</xmp:CreatorTool>" in text
    assert ">2031-05-06T07:08:09+00:00</stEvt:when>" in text
    assert text.count("Scan Studio 3") == 1
    ElementTree.fromstring(packet.removeprefix(b"\xef\xbb\xbf"))


def test_an_xmp_packet_keeps_what_nobody_here_knows():
    packet = xmp_of(colored(jpeg(xmp=XMP)).data).decode()
    assert 'own:shelf="7"' in packet
    assert "<!-- a remark -->" in packet
    assert '<rdf:li xml:lang="x-default">Hafen, Öl</rdf:li>' in packet
    assert ">1</tiff:Orientation>" in packet


@pytest.mark.parametrize("format", WITH_XMP)
def test_without_marks_nothing_is_added(format):
    result = colored(jpeg(exif=scanner_exif(), xmp=XMP), format, mark_metadata=False)
    assert opened(result.data).getexif()[0x0131] == "Scan Studio 3"
    assert b"Tintype" not in result.data
    bare = colored(jpeg(), format, mark_metadata=False)
    assert opened(bare.data).info.get("xmp") is None


@pytest.mark.parametrize(
    "hostile",
    [
        b"no xml at all",
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF",
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>",
        b"<?p <!-- ?><!DOCTYPE a [<!ENTITY b 'x'>]><!-- --><a>&b;</a>",
        b"<a>" * 50_000 + b"</a>" * 50_000,
        b"\0\0\0\0",
    ],
)
def test_a_broken_or_hostile_packet_is_left_out_in_words_and_the_marks_are_there(hostile):
    result = colored(jpeg(xmp=hostile[:60_000]))
    assert any("XMP" in note for note in result.notes)
    assert read_coloring(xmp_of(result.data)).software == SOFTWARE


def test_what_a_scanner_or_a_server_calls_itself_breaks_no_packet():
    exif = Image.Exif()
    exif[0x0131] = "Scan\x01\x1f <Studio> & \ufffe\ufffd3"
    photo = decode_photo(jpeg(exif=exif.tobytes()))
    hostile = Provenance("a\0b\x1b[2J <c>&\n" + 500 * "d", PROVENANCE.colored_at)
    for format in WITH_XMP:
        result = encode_coloring(photo.rgb, format, photo.metadata, ColoringOptions(), hostile)
        packet = xmp_of(result.data)
        ElementTree.fromstring(packet)
        assert "Scan <Studio> &" in "".join(ElementTree.fromstring(packet).itertext())
        assert len(opened(result.data).getexif()[0x0131]) < 100
        assert read_coloring(packet).software == opened(result.data).getexif()[0x0131]


def test_an_xmp_packet_in_utf_16_is_read():
    text = XMP.decode().replace('<?xpacket begin="\ufeff"', '<?xpacket begin=""')
    assert "Hafen, Öl" in xmp_of(colored(jpeg(xmp=b"\xff\xfe" + text.encode("utf-16-le"))).data).decode()


def test_an_xmp_packet_larger_than_a_segment_goes_through_a_jpeg_and_back():
    filling = "".join(f"<rdf:li>{number:06}</rdf:li>" for number in range(12_000))
    large = XMP.replace(b"</dc:title>", f"</dc:title><dc:subject><rdf:Bag>{filling}</rdf:Bag></dc:subject>".encode())
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "WEBP", xmp=large)
    result = colored(file.getvalue(), PhotoFormat.JPEG)
    assert result.notes == ()
    first = opened(result.data).info["xmp"]
    assert len(first) < 65_502
    assert read_coloring(first).software == SOFTWARE
    again = decode_photo(result.data).metadata.xmp
    for text in ("<rdf:li>000000</rdf:li>", "<rdf:li>011999</rdf:li>", "Hafen, Öl", MACHINE_COLORED):
        assert again.decode().count(text) == 1
    assert read_coloring(again).colored_at == "2031-05-06T07:08:09+00:00"
    assert decode_photo(colored(result.data).data).metadata.xmp.decode().count("<rdf:li>011999</rdf:li>") == 1


def test_iptc_and_comment_come_through_a_jpeg_a_tiff_and_a_png():
    segment = b"Photoshop 3.0\0" + as_iptc_resource(IPTC)
    extra = b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment
    data = jpeg(comment=b"scan 12, box 7", extra=extra)
    photo = opened(colored(data).data)
    assert photo.info["photoshop"][0x0404] == IPTC
    assert photo.info["comment"] == b"scan 12, box 7"
    as_tiff = colored(data, PhotoFormat.TIFF).data
    assert bytes(tifffile.TiffFile(io.BytesIO(as_tiff)).pages[0].tags[33723].value) == IPTC
    as_png = colored(as_tiff, PhotoFormat.PNG).data
    assert decode_photo(as_png).metadata.iptc == IPTC
    assert opened(colored(as_png, PhotoFormat.JPEG).data).info["photoshop"][0x0404] == IPTC


def test_the_texts_of_a_png_are_kept_in_every_alphabet_also_behind_the_pixels():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Harbour")
    info.add_text("Description", "Hafen – Öl", zip=True)
    info.add_itxt("Author", "Ł. Fotograf")
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "PNG", pnginfo=info, dpi=(600, 600))
    content = b"Comment\0behind"
    chunk = struct.pack(">I", len(content)) + b"tEXt" + content + struct.pack(">I", zlib.crc32(b"tEXt" + content))
    data = file.getvalue()[:-12] + chunk + file.getvalue()[-12:]
    result = opened(colored(data).data)
    texts = {key: result.text[key] for key in ("Title", "Description", "Author", "Comment")}
    assert texts == {"Title": "Harbour", "Description": "Hafen – Öl", "Author": "Ł. Fotograf", "Comment": "behind"}
    assert result.info["dpi"] == pytest.approx((600, 600), abs=0.01)
    assert opened(colored(data, PhotoFormat.JPEG).data).info["comment"].startswith(b"Title: Harbour\n")


def test_a_thumbnail_of_the_gray_photograph_does_not_stay():
    thumbnail = jpeg()
    first = scanner_exif()
    exif = bytearray(first)
    data = jpeg(exif=bytes(exif) + thumbnail)
    assert thumbnail not in colored(data).data
    photoshop = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", 0x040C, 0, len(thumbnail)) + thumbnail
    extra = b"\xff\xed" + struct.pack(">H", 2 + len(photoshop)) + photoshop
    assert thumbnail not in colored(jpeg(extra=extra)).data


def test_of_a_large_exif_block_jpeg_loses_the_maker_note_alone_and_says_so():
    note = bytes(range(256)) * 270
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "PNG", exif=scanner_exif(note))
    as_png = opened(colored(file.getvalue()).data).getexif().get_ifd(EXIF)
    assert as_png[MAKER_NOTE] == note
    result = colored(file.getvalue(), PhotoFormat.JPEG)
    exif = opened(result.data).getexif()
    assert MAKER_NOTE not in exif.get_ifd(EXIF)
    assert exif.get_ifd(EXIF)[0x9003] == "1910:05:01 12:00:00"
    assert exif[0x010F] == "Kodak"
    [said] = result.notes
    assert "MakerNote" in said


def test_a_maker_note_stays_at_its_offset_so_that_its_own_offsets_stay_true():
    data = jpeg(exif=scanner_exif(b"note" * 20))
    for format in (PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.WEBP):
        before, after = (
            opened(each).info["exif"].removeprefix(b"Exif\0\0") for each in (data, colored(data, format).data)
        )
        assert before.index(b"note" * 20) == after.index(b"note" * 20)


def test_what_says_other_colours_than_srgb_is_gone():
    exif = Image.Exif()
    details = exif.get_ifd(EXIF)
    details[0xA001], details[INTEROPERABILITY] = 0xFFFF, {1: "R03"}
    result = opened(colored(jpeg(exif=exif)).data).getexif()
    assert result.get_ifd(EXIF)[0xA001] == 1
    assert result.get_ifd(INTEROPERABILITY)[1] == "R98"
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "PNG")
    gamma = (
        struct.pack(">I", 4)
        + b"gAMA"
        + struct.pack(">I", 100_000)
        + struct.pack(">I", zlib.crc32(b"gAMA" + struct.pack(">I", 100_000)))
    )
    assert b"gAMA" not in colored(file.getvalue()[:33] + gamma + file.getvalue()[33:]).data


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_keeps_its_compression_and_its_bits(compression, dtype, order):
    rgb = (np.random.default_rng(7).integers(0, 60, (300, 200, 3)) + GRAY[0, 0]).astype(dtype) * (
        257 if dtype == np.uint16 else 1
    )
    names = {"none": None, "lzw": "lzw", "deflate": "zlib", "packbits": "packbits"}
    file = io.BytesIO()
    tifffile.imwrite(
        file, rgb, photometric="rgb", compression=names[compression], byteorder=order, resolution=(300, 300),
        resolutionunit="INCH", description="Plate 12", metadata=None, software="Scan Studio 3",
    )  # fmt: skip
    photo = decode_photo(file.getvalue())
    result = colored(file.getvalue()).data
    with tifffile.TiffFile(io.BytesIO(result)) as tiff:
        [page] = tiff.pages
        np.testing.assert_array_equal(page.asarray(), photo.rgb)
        wanted = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}[compression]
        assert (page.compression, page.bitspersample) == (wanted, 8 * np.dtype(dtype).itemsize)
        assert (page.description, page.software) == ("Plate 12", SOFTWARE)
    assert opened(result).info["dpi"] == (300, 300)
    other = colored(file.getvalue(), tiff_compression="deflate").data
    assert tifffile.TiffFile(io.BytesIO(other)).pages[0].compression == 8


@pytest.mark.parametrize("compression", ["none", "lzw"])
def test_each_page_of_a_tiff_keeps_what_it_says(compression):
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=">") as writer:
        for number in range(3):
            page = np.full((40 + number, 50, 3), 60 * number, (np.uint8, np.uint16, np.uint8)[number])
            writer.write(
                page, photometric="rgb", description=f"Plate {number}", metadata=None, software="Scan Studio 3",
                compression=None if compression == "none" else compression, resolution=(100 + number, 100 + number),
                resolutionunit="INCH",
            )  # fmt: skip
    photos = [decode_photo(file.getvalue(), page=number) for number in range(3)]
    pages = [ColoredPage(photo.color, photo.metadata, photo.alpha) for photo in photos]
    result = encode_colored_pages(pages, ColoringOptions(), PROVENANCE)
    assert result.notes == ()
    with tifffile.TiffFile(io.BytesIO(result.data)) as tiff:
        for number, page in enumerate(tiff.pages):
            np.testing.assert_array_equal(page.asarray(), photos[number].color)
            assert (page.description, page.software) == (f"Plate {number}", SOFTWARE)
            assert page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1] == 100 + number
            assert MACHINE_COLORED.encode() in page.tags[700].value
        assert len(tiff.pages) == 3
    image = Image.open(io.BytesIO(result.data))
    assert image.n_frames == 3


def test_the_description_of_a_big_tiff_is_kept():
    file = io.BytesIO()
    tifffile.imwrite(file, GRAY, bigtiff=True, description="Plate 12", metadata=None, software="Scan Studio 3",
                     extratags=[(315, 2, 0, "A. Photographer", True)])  # fmt: skip
    page = tifffile.TiffFile(io.BytesIO(colored(file.getvalue()).data)).pages[0]
    assert (page.description, page.tags[315].value) == ("Plate 12", "A. Photographer")
    assert opened(colored(file.getvalue(), PhotoFormat.JPEG).data).getexif()[0x010E] == "Plate 12"


def test_how_a_stack_was_stored_is_no_description_of_its_result():
    file = io.BytesIO()
    tifffile.imwrite(file, np.repeat(GRAY[None], 3, axis=0), photometric="rgb")
    with tifffile.TiffFile(io.BytesIO(colored(file.getvalue()).data)) as tiff:
        assert tiff.series[0].shape == GRAY.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("format", list(PhotoFormat)[:5])
def test_alpha_is_written_where_the_format_has_it_and_is_white_elsewhere(dtype, format):
    most = np.iinfo(dtype).max
    rgb, alpha = np.full((20, 30, 3), most // 3, dtype), np.full((20, 30), most, dtype)
    alpha[:10] = 0
    result = encode_coloring(rgb, format, Metadata(), ColoringOptions(quality=100), PROVENANCE, alpha)
    image = opened(result.data)
    if format in ("JPEG", "BMP"):
        assert image.getpixel((5, 2)) == (255, 255, 255)
        assert any("transparency" in note for note in result.notes)
        return
    assert image.mode == "RGBA"
    assert image.getchannel("A").getpixel((5, 2)) == 0
    assert image.getchannel("A").getpixel((5, 15)) == 255
    if dtype == np.uint16 and format is PhotoFormat.PNG:
        assert cv2.imdecode(np.frombuffer(result.data, np.uint8), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_what_a_format_cannot_hold_is_said():
    segment = b"Photoshop 3.0\0" + as_iptc_resource(IPTC)
    extra = b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment
    data = jpeg(exif=scanner_exif(), xmp=XMP, comment=b"box 7", extra=extra)
    assert colored(data).notes == ()
    assert any("IPTC" in note for note in colored(data, PhotoFormat.WEBP).notes)
    lost, mark = colored(data, PhotoFormat.BMP).notes
    assert "EXIF, XMP, IPTC, comment" in lost
    assert "mark" in mark


def test_the_resolution_comes_through_a_webp():
    result = colored(colored(jpeg(dpi=(600, 600)), PhotoFormat.WEBP).data, PhotoFormat.JPEG)
    assert opened(result.data).info["dpi"] == (600, 600)


def test_an_orientation_that_xmp_names_under_any_prefix_turns_no_result():
    odd = XMP.replace(b"http://ns.adobe.com/tiff/1.0/", b"urn:another")
    photo, result = jpeg(xmp=odd), colored(jpeg(xmp=odd), PhotoFormat.PNG).data
    assert decode_photo(result).rgb.shape == decode_photo(photo).rgb.shape


def test_a_resolution_beyond_belief_stops_nothing():
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = 4e9, 4e9, 2
    for format in PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.TIFF, PhotoFormat.WEBP:
        assert decode_photo(colored(jpeg(exif=exif), format).data).metadata.dpi is None


def test_the_boxes_of_a_jpeg_2000_are_read():
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "JPEG2000")
    exif_block = scanner_exif().removeprefix(b"Exif\0\0")
    uuids = {
        "be7acfcb97a942e89c71999491e3afac": XMP,
        b"JpgTiffExif->JP2".hex(): exif_block,
        "33c7a4d2b81d4723a0baf1a3e097ad38": IPTC,
    }
    boxes = b"".join(
        struct.pack(">I4s", 24 + len(content), b"uuid") + bytes.fromhex(uuid) + content
        for uuid, content in uuids.items()
    )
    metadata = decode_photo(file.getvalue() + boxes).metadata
    assert (metadata.iptc, metadata.xmp) == (IPTC, XMP)
    exif = Image.Exif()
    exif.load(metadata.exif)
    assert exif[0x010F] == "Kodak"


def test_the_metadata_of_a_heic_are_read():
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(GRAY)).save(file, exif=scanner_exif(), xmp=XMP)
    result = opened(colored(file.getvalue(), PhotoFormat.JPEG).data)
    assert result.getexif()[0x010F] == "Kodak"
    assert b"Hafen" in result.info["xmp"]


def test_a_resolution_that_no_file_names_is_not_invented():
    exif = Image.Exif()
    exif[0x010F] = "Kodak"
    data = jpeg(exif=exif)
    assert opened(data).info["dpi"] == (72, 72)  # Pillow's own word
    assert decode_photo(data).metadata.dpi is None
    exif[0x011A], exif[0x011B], exif[0x0128] = 72.0, 72.0, 2
    assert decode_photo(jpeg(exif=exif)).metadata.dpi == (72, 72)
    assert decode_photo(jpeg(exif=exif, dpi=(72, 72))).metadata.dpi == (72, 72)


def test_a_gps_place_in_exif_written_by_others_is_read_by_name():
    exif = opened(colored(jpeg(exif=scanner_exif())).data).getexif()
    assert ExifTags.GPS(next(iter(exif.get_ifd(GPS)))).name == "GPSLatitudeRef"


def test_an_oval_portrait_keeps_its_transparency_and_its_light():
    rows, columns = np.mgrid[:48, :64]
    oval = (255 * np.clip(1.3 - np.hypot((rows - 24) / 24, (columns - 32) / 32) * 1.2, 0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.dstack([GRAY[..., 0], oval]), "LA").save(file, "PNG")
    ab = np.zeros((32, 32, 2), np.float32)
    data = apply_ab(file.getvalue(), ab)
    result = np.asarray(opened(data))
    np.testing.assert_array_equal(result[..., 3], oval)
    np.testing.assert_array_equal(result[oval > 0, :3], GRAY[oval > 0])
    as_jpeg = np.asarray(opened(apply_ab(file.getvalue(), ab, ColoringOptions(format=PhotoFormat.JPEG))))
    assert (as_jpeg[0, 0] > 250).all()
    assert apply_ab(file.getvalue(), ab, longest_side=20).startswith(b"\x89PNG")
    assert np.asarray(apply_ab(opened(file.getvalue()), ab))[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("damage", range(200))
def test_damaged_exif_ends_in_a_result(damage):
    generator = np.random.default_rng(damage)
    exif = bytearray(scanner_exif(b"note" * 20))
    for at in generator.integers(6, len(exif), 4):
        exif[at] = generator.integers(0, 256)
    photo = decode_photo(jpeg())
    encode_photo(photo.rgb, "TIFF", metadata=decode_photo(jpeg(exif=bytes(exif))).metadata)
