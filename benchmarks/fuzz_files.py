"""Makes files of photographs for fuzzing: every kind that the libraries write, whole or damaged."""

import io
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

_MOST_PIXELS = 24  # a side
_COMPRESSIONS = (None, "zlib", "lzw", "packbits", "lzma", "zstd", "jpeg2000")
_PILLOW_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "F"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "HEIF": ("L", "LA", "RGB", "RGBA"),
    "MPO": ("L", "RGB"),  # the index of one of CMYK is written to the wrong place
}
_TIFF_COMPRESSIONS = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4")


@dataclass(frozen=True)
class FuzzFile:
    """A file to read.

    Attributes:
        data: its bytes.
        truth: float64 [H, W, 3], sRGB in 0..1, what must be read; None where the file is damaged or its kind loses.
        visible: bool [H, W], where `truth` is to be seen.
        pages: that it has; None where it is damaged.
        more: pictures that it holds beside its pages.
        kind: how it was made, in words.
    """

    data: bytes
    truth: NDArray[np.float64] | None
    visible: NDArray[np.bool_] | None
    pages: int | None
    more: int
    kind: str


def fuzz_file(random: Random) -> FuzzFile:
    """Make a file by random choices: the same choices, the same file."""
    while True:
        try:
            file = random.choices((_tiff, _by_pillow, _deep), (10, 9, 1))[0](random)
            break
        except Exception:  # a writer does not take this choice: another one
            continue
    return _damaged(file, random) if random.random() < 0.4 else file


def _damaged(file: FuzzFile, random: Random) -> FuzzFile:
    data, how = bytearray(file.data), random.choice(("flips", "flips in front", "cut", "zeros", "twice"))
    match how:
        case "flips" | "flips in front":
            reach = len(data) if how == "flips" else min(len(data), 256)
            for _ in range(random.randrange(1, 9)):
                data[random.randrange(reach)] = random.randrange(256)
        case "cut":
            del data[random.randrange(len(data)) :]
        case "zeros":
            start = random.randrange(len(data))
            data[start : start + random.randrange(1, 200)] = bytes(random.randrange(1, 200))
        case "twice":
            start = random.randrange(len(data))
            data[start:start] = data[random.randrange(len(data)) :][:500]
    return FuzzFile(bytes(data), None, None, None, 0, f"{file.kind}, damaged by {how}")


def _tiff(random: Random) -> FuzzFile:
    """Make a TIFF by tifffile: layouts, depths, kinds of colour, extra samples, pages, copies."""
    side = (random.randrange(1, _MOST_PIXELS), random.randrange(1, _MOST_PIXELS))
    dtype = np.dtype(random.choice(("u1", "u1", "u2", "u2", "u4", "f2", "f4", "f8")))
    photometric = random.choice(("minisblack", "miniswhite", "rgb", "rgb", "separated"))
    channels = {"rgb": 3, "separated": 4}.get(photometric, 1)
    extra = random.choice((None, None, "unspecified", "unassalpha", "assocalpha"))
    if dtype.kind == "f" or dtype.itemsize > 2:
        extra, photometric = None, "rgb" if photometric == "rgb" else "minisblack"
        channels = 3 if photometric == "rgb" else 1
    samples = channels + (extra is not None)
    options: dict[str, Any] = {"photometric": photometric, "compression": random.choice(_COMPRESSIONS)}
    is_jpeg2000 = options["compression"] == "jpeg2000"
    if is_jpeg2000 and (dtype.itemsize > 2 or samples > 4):
        raise ValueError("the encoder changes samples of 32 bits, and takes rows of five samples for planes")
    planar = samples > 1 and random.random() < 0.4
    if samples > 1:
        options["planarconfig"] = "separate" if planar else "contig"
    if extra is not None:
        options["extrasamples"] = [extra]
    if random.random() < 0.3:
        options["tile"] = (16, 16)
    else:
        options["rowsperstrip"] = random.randrange(1, side[0] + 1)
    if options["compression"] not in (None, "packbits") and random.random() < 0.5:
        options["predictor"] = True
    pages, is_big = random.choice((1, 1, 1, 2, 3)), random.random() < 0.2
    byteorder: Literal["<", ">"] = "<" if is_jpeg2000 or random.random() < 0.5 else ">"  # that encoder knows no other
    shrunk, described = random.random() < 0.2, random.random() < 0.3
    first: NDArray[Any] | None = None
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, bigtiff=is_big, byteorder=byteorder) as writer:
        for _ in range(pages):
            pixels = _values(random, (*side, samples), dtype)
            first = pixels if first is None else first
            stored = np.moveaxis(pixels, -1, 0) if planar else pixels if samples > 1 else pixels[..., 0]
            words: dict[str, Any] = {"description": "Plate 12, Angby"[: random.randrange(15)]} if described else {}
            if described:
                options |= {"resolution": (300, 300), "software": "scanner"}
            writer.write(stored.copy(), metadata=None, subifds=1 if shrunk else 0, **words, **options)
            if shrunk:
                thumbnail = np.ascontiguousarray(stored[..., :1, :1] if planar else pixels[:1, :1])
                layout = {key: value for key, value in options.items() if key not in ("tile", "predictor")}
                thumbnail = thumbnail if samples > 1 else thumbnail[..., 0]
                writer.write(thumbnail.copy(), subfiletype=1, metadata=None, **layout | {"rowsperstrip": 1})
    assert first is not None
    truth, visible = _truth_of(first, photometric, extra)
    return FuzzFile(stream.getvalue(), truth, visible, pages, 0, f"TIFF {dtype} {extra} {options} pages={pages}")


def _values(random: Random, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    generator = np.random.default_rng(random.randrange(1 << 30))
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    values = generator.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    values.flat[0] = np.iinfo(dtype).max  # white of 32 bits is known by the largest number alone
    return values


def _truth_of(
    pixels: NDArray[Any], photometric: str, extra: str | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    scale = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    values = pixels.astype(np.float64) / scale
    channels = {"rgb": 3, "separated": 4}.get(photometric, 1)
    color, visible = values[..., :channels], np.ones(pixels.shape[:2], bool)
    if extra == "assocalpha":  # random colours beyond their alpha are none that a writer would have stored
        return None, None
    if extra == "unassalpha":
        visible = values[..., channels] > 0
    if photometric == "separated":
        color = (1 - color[..., :3]) * (1 - color[..., 3:])
    if photometric == "miniswhite":
        color = 1 - color
    return np.broadcast_to(color, (*pixels.shape[:2], 3)), visible


def _deep(random: Random) -> FuzzFile:
    """Make JPEG 2000 or AVIF of another number of bits than 8 a channel by imagecodecs."""
    channels, side = random.choice((1, 2, 3, 4)), (random.randrange(8, _MOST_PIXELS), random.randrange(8, _MOST_PIXELS))
    bits = random.choice((10, 12))
    if random.random() < 0.5:  # which loses, and not a little of noise
        samples = _values(random, (*side, max(channels, 3)), np.dtype("u2")) >> (16 - bits)
        lossy = imagecodecs.avif_encode(samples, level=100, bitspersample=bits)
        return FuzzFile(bytes(lossy), None, None, 1, 0, f"AVIF of {bits} bits")
    bits = random.choice((bits, 4, 9, 16))
    depth = np.dtype("u2" if bits > 8 else "u1")
    samples = _values(random, (*side, channels), depth) >> (8 * depth.itemsize - bits)
    codec = random.choice(("jp2", "j2k"))
    data = imagecodecs.jpeg2k_encode(
        samples if channels > 1 else samples[..., 0], codecformat=codec, reversible=True, bitspersample=bits
    )
    shares = samples / ((1 << bits) - 1)
    colors = 3 if channels > 2 else 1
    visible = shares[..., -1] > 0 if channels in (2, 4) else np.ones(side, bool)
    truth = np.broadcast_to(shares[..., :colors], (*side, 3))
    return FuzzFile(bytes(data), truth, visible, 1, 0, f"JPEG2000 {codec} of {bits} bits, {channels} channels")


def _by_pillow(random: Random) -> FuzzFile:
    """Make a file by Pillow: formats, modes, metadata, frames."""
    pillow_heif.register_heif_opener()
    format = random.choice(list(_PILLOW_MODES))
    mode = random.choice(_PILLOW_MODES[format])
    size = (random.randrange(1, _MOST_PIXELS), random.randrange(1, _MOST_PIXELS))
    image = _image(random, mode, size)
    options = _metadata(random, format)
    frames = 1
    # An animated AVIF of few pixels ends Pillow's writer, so there is none.
    if format in ("PNG", "GIF", "WEBP", "HEIF", "MPO") and mode not in ("1", "I;16") and random.random() < 0.2:
        frames = random.randrange(2, 4)
        others = [_image(random, mode, size) for _ in range(frames - 1)]
        if len({frame.convert("RGBA").tobytes() for frame in (image, *others)}) < frames:
            raise ValueError("writers make one frame of equal ones")
        options |= {"save_all": True, "append_images": others}
    lossless = format in ("PNG", "BMP", "TIFF")
    if format == "TIFF":
        wanted = {"1": (None, "group3", "group4", "packbits"), "F": (None, "tiff_lzw"), "I;16": (None, "tiff_lzw")}
        compression = random.choice(wanted.get(mode, _TIFF_COMPRESSIONS[:-2]))
        if compression == "jpeg" and mode not in ("L", "RGB", "CMYK"):
            compression = None
        options["compression"] = compression
        lossless = compression != "jpeg"
    if format == "WEBP":
        options["lossless"] = True
    if format in ("JPEG", "MPO"):
        options |= {"quality": random.randrange(1, 101), "progressive": random.random() < 0.5}
    stream = io.BytesIO()
    image.save(stream, format, **{key: value for key, value in options.items() if value is not None})
    kind = f"{format} {mode} frames={frames} {sorted(options)}"
    truth, visible = None, None
    if lossless and mode in ("1", "L", "RGB", "RGBA", "LA", "I;16") and "exif" not in options and frames == 1:
        truth, visible = _truth_of_image(image)
    return FuzzFile(stream.getvalue(), truth, visible, 1, frames - 1, kind)


def _image(random: Random, mode: str, size: tuple[int, int]) -> Image.Image:
    width, height = size
    if mode == "I;16":
        return Image.fromarray(_values(random, (height, width), np.dtype("u2")))
    if mode == "F":
        return Image.fromarray(_values(random, (height, width), np.dtype("f4")))
    if mode == "1":
        return Image.fromarray(_values(random, (height, width), np.dtype("u1"))).convert("1")
    if mode == "P":
        return Image.fromarray(_values(random, (height, width, 3), np.dtype("u1"))).quantize(random.randrange(2, 32))
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = _values(random, (height, width, channels), np.dtype("u1"))
    return Image.frombytes(mode, size, values.tobytes())


def _truth_of_image(image: Image.Image) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if image.mode == "I;16":
        gray = np.asarray(image).astype(np.float64)[..., None] / 65535
        return np.broadcast_to(gray, (*gray.shape[:2], 3)), np.ones(gray.shape[:2], bool)
    pixels = np.asarray(image.convert("RGBA")).astype(np.float64) / 255
    return pixels[..., :3], pixels[..., 3] > 0


def _metadata(random: Random, format: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO") and random.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = random.randrange(0, 10), "Kodak"
        if random.random() < 0.5:
            exif.get_ifd(0x8769)[0xA001] = random.choice((1, 2, 0xFFFF))
            exif.get_ifd(0x8769)[0x9003] = "1999:01:02 03:04:05"
        options["exif"] = exif
    if format in ("JPEG", "PNG", "TIFF", "BMP") and random.random() < 0.3:
        options["dpi"] = (random.randrange(1, 1000),) * 2
    if format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO") and random.random() < 0.2:
        own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options["icc_profile"] = random.choice((own, own[: random.randrange(1, len(own))], b"no profile"))
    return options
