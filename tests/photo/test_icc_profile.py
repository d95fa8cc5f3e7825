import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from photo.decoding import decode_photo, photo_from_image
from photo.encoding import encode_photo
from photo.icc_profile import read_profile
from photo.metadata import Metadata

D50 = (0.9642, 1.0, 0.8249)
ADOBE = {  # Adobe RGB (1998) under D50
    "rXYZ": (0.60974, 0.31111, 0.01947),
    "gXYZ": (0.20528, 0.62567, 0.06087),
    "bXYZ": (0.14919, 0.06322, 0.74457),
}


def gamma(exponent: float) -> bytes:
    return b"curv" + struct.pack(">IIH2x", 0, 1, round(256 * exponent))


def table(exponent: float, points: int = 1024) -> bytes:
    values = np.round(65535 * np.linspace(0, 1, points) ** exponent).astype(">u2").tobytes()
    return b"curv" + struct.pack(">II", 0, points) + values


def parametric(kind: int, *parameters: float) -> bytes:
    fixed = struct.pack(f">{len(parameters)}i", *(round(65536 * parameter) for parameter in parameters))
    return b"para" + struct.pack(">IHH", 0, kind, 0) + fixed


IDENTITY = b"curv" + struct.pack(">II", 0, 0)
SRGB = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
CURVES = {
    "gamma": gamma(2.19921875),
    "table": table(1.8),
    "identity": IDENTITY,
    "parametric 0": parametric(0, 2.2),
    "parametric 1": parametric(1, 2.2, 0.9, 0.1),
    "parametric 2": parametric(2, 2.0, 0.8, 0.1, 0.1),
    "parametric 1, beyond 1": parametric(1, 1.0, 1.5, 0.0),
    "parametric 3": SRGB,
    "parametric 4": parametric(4, 2.4, 0.9479, 0.0521, 0.0774, 0.0404, 0.0, 0.0),
}
AB_ZERO = np.array([0, 128, 128])
MATRIX = np.array([[0.5, 0.04, 0.0], [0.0, 0.5, 0.02], [0.03, 0.0, 0.5]])
OFFSET = np.array([0.05, 0.2, 0.2])
LIFTED = (CURVES["parametric 1"], CURVES["parametric 2"])  # their black is not black


def profile_of(space: str, tags: dict[str, bytes]) -> bytes:
    """An ICC profile of an input device."""
    tags = {
        "desc": b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", 8, 28) + "Scan".encode("utf-16-be"),
        "cprt": b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", 8, 28) + "None".encode("utf-16-be"),
        "wtpt": xyz(*D50),
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    entries, body = b"", b""
    for name, tag in tags.items():
        entries += struct.pack(">4sII", name.encode(), start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x04300000, b"scnr", space.ljust(4).encode(), b"XYZ "
    )
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", *fixed(D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def fixed(values) -> tuple[int, ...]:
    return tuple(round(65536 * value) for value in values)


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *fixed(values))


def rgb_profile(curve: bytes, **more: bytes) -> bytes:
    colorants = {name: xyz(*values) for name, values in ADOBE.items()}
    return profile_of("RGB", {**colorants, "rTRC": curve, "gTRC": curve, "bTRC": curve, **more})


def by_littlecms(image: Image.Image, profile: bytes, flags: ImageCms.Flags = ImageCms.Flags.NONE) -> np.ndarray:
    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, own, srgb, outputMode="RGB", flags=flags)).astype(int)


def colors_at(points: int, channels: int, space: str, darkest: float) -> np.ndarray:
    """[points, ..., points, 3]: what a scanner that mixes its channels sees, as L*a*b* or XYZ under D50."""
    axis = darkest + (1 - darkest) * np.linspace(0, 1, points) ** 2
    light = np.stack(np.meshgrid(*[axis] * channels, indexing="ij"), axis=-1) @ np.ones((channels, 3)) / 3
    if channels == 3:
        light = np.stack(np.meshgrid(*[axis] * 3, indexing="ij"), axis=-1)
        light = light @ np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.02, 0.18, 0.8]]).T
    xyz_colors = light @ np.array(list(ADOBE.values()))
    if space == "XYZ":
        return xyz_colors
    relative = xyz_colors / D50
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * (841 / 108) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def integers(values: np.ndarray, width: int) -> bytes:
    """Numbers of 0..1 in `width` bytes each."""
    scaled = np.round(np.clip(values, 0, 1) * (256**width - 1))
    return scaled.astype({1: "u1", 2: ">u2"}[width]).tobytes()


def tables_profile(kind: str, pcs: str, channels: int = 3, points: int = 9, darkest: float = 0.0) -> bytes:
    """A scanner's profile of tables: every curve of it bends, `kind` is mft1, mft2 or mAB."""
    colors = colors_at(points, channels, pcs, darkest)
    ends = 65280 / 65535 if kind == "mft2" else 1.0
    encoded = colors / (1 + 32767 / 32768) if pcs == "XYZ" else (colors + AB_ZERO) / [100, 255, 255] * ends
    bend = np.linspace(0, 1, 256) ** 1.1
    if kind == "mAB":
        curves = [parametric(0, 1.1), table(1.1, 255)]  # one that is no multiple of four bytes
        curves = [curve + bytes(-len(curve) % 4) for curve in curves]
        b_curves, m_curves = parametric(0, 1.0) * 3, IDENTITY * 3
        matrix = struct.pack(">12i", *fixed((*MATRIX.ravel(), *OFFSET)))
        encoded = (encoded - OFFSET) @ np.linalg.inv(MATRIX).T
        clut = bytes([points] * channels).ljust(16, b"\0") + bytes([2, 0, 0, 0]) + integers(encoded, 2)
        clut += bytes(-len(clut) % 4)
        parts = [b_curves, matrix, m_curves, clut, b"".join((curves * 2)[:channels])]
        starts = np.cumsum([32, *map(len, parts)])[:5].tolist()
        tag = b"mAB " + struct.pack(">I2B2x5I", 0, channels, 3, *starts) + b"".join(parts)
    else:
        width = {"mft1": 1, "mft2": 2}[kind]
        sizes = struct.pack(">2H", 256, 256) if width == 2 else b""
        identity = struct.pack(">9i", *fixed(np.eye(3).ravel()))
        tag = kind.encode() + struct.pack(">I4B", 0, channels, 3, points, 0) + identity + sizes
        tag += integers(np.tile(bend, channels), width) + integers(encoded, width)
        tag += integers(np.tile(np.linspace(0, 1, 256), 3), width)
    profile = bytearray(profile_of({1: "GRAY", 3: "RGB"}[channels], {"A2B0": tag}))
    profile[20:24] = pcs.ljust(4).encode()
    if kind != "mAB":
        profile[8:12] = bytes([2, 0x40, 0, 0])  # ICC.1 knows mAB since version 4
    return bytes(profile)


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_colours_are_those_of_littlecms(curve):
    colors = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    expected = by_littlecms(Image.fromarray(colors), rgb_profile(curve))
    ours = read_profile(rgb_profile(curve)).to_srgb(colors.astype(np.uint16) * 257)
    away = np.abs(ours / 257 - expected)
    if curve in LIFTED:  # with an offset littlecms' tables are coarse near black
        assert np.percentile(away, 97) <= 1
    else:
        assert away.max() <= 1


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_shades_are_those_of_littlecms(curve):
    shades = np.arange(256, dtype=np.uint8)[None]
    profile = profile_of("GRAY", {"kTRC": curve})
    expected = by_littlecms(Image.fromarray(shades), profile)
    deep = np.repeat(shades[..., None].astype(np.uint16) * 257, 3, axis=-1)
    ours = read_profile(profile).to_srgb(deep)
    assert (np.ptp(ours, axis=-1) == 0).all()
    assert np.percentile(np.abs(ours / 257 - expected), 95) <= 1


@pytest.fixture
def ramp() -> np.ndarray:
    """uint16 [32, 128, 3]: 4,096 shades of gray from black to white, a little tinted."""
    shades = np.linspace(0, 65535, 4096).round().astype(np.uint16).reshape(32, 128, 1)
    return (shades * np.array([1.0, 0.95, 0.9])).round().astype(np.uint16)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_sixteen_bit_photo_keeps_its_shades_through_a_profile(ramp, format):
    profile = rgb_profile(CURVES["gamma"])
    photo = decode_photo(encode_photo(ramp, format, metadata=Metadata(icc=profile)))
    assert photo.rgb.dtype == np.uint16
    assert len(np.unique(photo.rgb[..., 0])) > 4000
    eight = decode_photo(encode_photo((ramp >> 8).astype(np.uint8), format, metadata=Metadata(icc=profile))).rgb
    assert np.abs(photo.rgb / 257 - eight).mean() < 1
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(photo.metadata.icc)))
    np.testing.assert_array_equal(decode_photo(encode_photo(photo.rgb, format, metadata=photo.metadata)).rgb, photo.rgb)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_gray_scans_of_sixteen_bits_go_through_gray_and_colour_profiles(ramp, format):
    image = Image.fromarray(ramp[..., 0])
    for profile in (profile_of("GRAY", {"kTRC": gamma(1.8)}), rgb_profile(gamma(1.8))):
        file = io.BytesIO()
        image.save(file, format, icc_profile=profile)
        photo = decode_photo(file.getvalue())
        assert photo.rgb.dtype == np.uint16
        assert len(np.unique(photo.rgb[..., 1])) > 4000
        light = (ramp[..., 0] / 65535) ** (round(256 * 1.8) / 256)
        expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        np.testing.assert_allclose(photo.rgb[..., 1] / 65535, expected, atol=2e-3)
        opened = Image.open(io.BytesIO(file.getvalue()))
        np.testing.assert_array_equal(photo_from_image(opened).rgb, photo.rgb)


def test_what_is_transparent_is_white_after_the_profile():
    bgra = np.zeros((4, 6, 4), np.uint16)
    bgra[..., 2], bgra[:, :3, 3] = 50_000, 65535
    plain = cv2.imencode(".png", bgra)[1].tobytes()
    image = Image.open(io.BytesIO(plain))
    image.load()
    profile = rgb_profile(gamma(1.8))
    chunk = encode_photo(bgra[..., 2::-1], "PNG", metadata=Metadata(icc=profile))
    start = chunk.index(b"iCCP") - 4
    end = start + 12 + int.from_bytes(chunk[start : start + 4])
    photo = decode_photo(plain[:33] + chunk[start:end] + plain[33:])
    assert photo.rgb.dtype == np.uint16
    assert (photo.rgb[:, 3:] == 65535).all()
    opaque = decode_photo(chunk).rgb
    np.testing.assert_array_equal(photo.rgb[:, :3], opaque[:, :3])


TABLES = [("mft1", "Lab"), ("mft2", "Lab"), ("mft2", "XYZ"), ("mAB", "Lab"), ("mAB", "XYZ")]


@pytest.mark.parametrize("darkest", [0.0, 0.02])
@pytest.mark.parametrize(("kind", "pcs"), TABLES)
def test_colours_through_tables_are_those_of_littlecms(kind, pcs, darkest):
    colors = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    profile = tables_profile(kind, pcs, darkest=darkest)
    expected = by_littlecms(Image.fromarray(colors), profile, ImageCms.Flags.NOOPTIMIZE)
    away = np.abs(read_profile(profile).to_srgb(colors.astype(np.uint16) * 257) / 257 - expected)
    assert away.max() <= 1


@pytest.mark.parametrize("kind", ["mft1", "mft2", "mAB"])
def test_shades_through_tables_are_those_of_littlecms(kind):
    shades = np.arange(256, dtype=np.uint8)[None]
    profile = tables_profile(kind, "Lab", channels=1)
    expected = by_littlecms(Image.fromarray(shades), profile, ImageCms.Flags.NOOPTIMIZE)
    ours = read_profile(profile).to_srgb(np.repeat(shades[..., None].astype(np.uint16) * 257, 3, axis=-1))
    assert np.abs(ours / 257 - expected).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_sixteen_bit_scan_keeps_its_shades_through_tables(ramp, format):
    photo = decode_photo(encode_photo(ramp, format, metadata=Metadata(icc=tables_profile("mft2", "Lab", points=17))))
    assert photo.rgb.dtype == np.uint16
    assert len(np.unique(photo.rgb[..., 1])) > 3500


def test_tables_of_an_unknown_kind_are_left_to_littlecms_with_eight_bits(ramp):
    profile = rgb_profile(gamma(1.8), A2B0=b"mft3" + bytes(60))
    assert read_profile(profile) is None
    assert decode_photo(encode_photo(ramp, "TIFF", metadata=Metadata(icc=profile))).rgb.dtype == np.uint8


def test_a_gray_profile_in_a_colour_photo_is_ignored(ramp):
    photo = decode_photo(encode_photo(ramp, "TIFF", metadata=Metadata(icc=profile_of("GRAY", {"kTRC": gamma(1.8)}))))
    np.testing.assert_array_equal(photo.rgb, ramp)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        bytes(128),
        rgb_profile(b"curv" + struct.pack(">II", 0, 2**32 - 1)),
        rgb_profile(b"para" + struct.pack(">IHH", 0, 9, 0) + bytes(28)),
        rgb_profile(parametric(1, 2.0, 0.0, 0.5)[:14]),
        rgb_profile(parametric(0, -2.0)),
        rgb_profile(parametric(1, 1.0, 32_000.0, 0.0)),
        rgb_profile(b"text" + bytes(20)),
        rgb_profile(IDENTITY, rXYZ=b"curv" + bytes(16)),
        rgb_profile(IDENTITY)[:300],
        profile_of("CMYK", {}),
        tables_profile("mft2", "Lab")[:-5],
        tables_profile("mft1", "Lab", points=2).replace(bytes([3, 3, 2, 0]), bytes([3, 3, 255, 0])),
        tables_profile("mft1", "Lab", points=2).replace(bytes([3, 3, 2, 0]), bytes([3, 3, 0, 0])),
        tables_profile("mft2", "Lab", points=2).replace(bytes([3, 3, 2, 0]), bytes([4, 3, 2, 0])),
        tables_profile("mft2", "Lab").replace(struct.pack(">2H", 256, 256), struct.pack(">2H", 1, 256)),
        tables_profile("mAB", "Lab")[:600],
        tables_profile("mAB", "Lab").replace(b"para", b"text"),
        tables_profile("mft2", "Lab").replace(b"scnrRGB Lab ", b"scnrRGB HSV "),
    ],
    ids=range(19),
)
def test_what_is_broken_or_of_another_kind_is_none(broken):
    assert read_profile(broken) is None


def test_a_curve_divided_by_nothing_is_survived():
    assert read_profile(rgb_profile(parametric(1, 2.0, 0.0, 0.5))) is not None
