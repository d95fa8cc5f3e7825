"""Measures the client: colour work of a 12-megapixel photograph, edge-aware upsampling, first colour of a cold start.

    python -m benchmarks.client [--picture docs/images/upsampling.jpg] [--server HOST:PORT]

Every ratio is of one run, its repetitions taken in turn. Colour work is measured on one core (the process is pinned to
it, and OpenCV and BLAS get one thread) in processor time, which others on the machine disturb less. With --server (one
that has answered before) the start of a client is measured, too: a new interpreter, the import, and the first
photograph of 1 megapixel.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read at NumPy's import

import cv2
import numpy as np
from numpy.typing import NDArray

from photo.color import join_lightness_and_color, rgb_to_lab
from photo.coloring import Prepared, finish, prepare
from photo.encoding import encode_photo
from photo.geometry import crop, resize
from photo.upsampling import upsample_color
from photo.whole_file import write_whole

SIZE = 128  # side of the square the network sees
HEIGHT, WIDTH = 3000, 4000
TITLES = ("photograph", "bilinear", "edge-aware", "error of bilinear", "error of edge-aware")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
ZOOM, WINDOW = 2, 120  # of the details in the picture
DARKEST_ERROR = 30.0  # units of a*b* drawn black in it
Picture = NDArray[np.uint8]
Plane = NDArray[np.floating[Any]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="where to write details of the upsampled photographs")
    parser.add_argument("--server", metavar="HOST:PORT", help="a warm server, for the cold start")
    parser.add_argument("--only-once", choices=list(IMPLEMENTATIONS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_once:  # a process of its own, whose peak of memory is asked for
        _work_of_one(arguments.only_once)
        return
    if arguments.server:
        measure_cold_start(arguments.server, arguments.repetitions)  # first: the next one pins the process to a core
    measure_upsampling(arguments.picture)
    measure_color_work(arguments.repetitions)


def measure_color_work(repetitions: int) -> None:
    """Time `prepare` and `finish` against the same steps in scikit-image, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    rgb, ab = _photograph(), _square_color(_photograph())
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPLEMENTATIONS}
    results: dict[str, Picture] = {}
    for _ in range(repetitions):
        for name, (prepare_one, finish_one) in IMPLEMENTATIONS.items():
            start = time.process_time()
            prepared = prepare_one(rgb)
            between = time.process_time()
            results[name] = finish_one(prepared, ab)
            seconds[name].append((between - start, time.process_time() - between))
    print(f"\nColour work of {HEIGHT * WIDTH / 1e6:g} megapixels, one core, best of {repetitions} in turn")
    print(f"{'':14}{'prepare ms':>12}{'finish ms':>12}{'both ms':>12}{'peak MB':>12}{'of them for the work':>24}")
    totals = {}
    for name, times in seconds.items():
        totals[name] = min(sum(pair) for pair in times)
        peak, before = _peak_megabytes(name)
        parts = "".join(f"{1000 * min(part):12.0f}" for part in zip(*times, strict=True))
        print(f"{name:14}{parts}{1000 * totals[name]:12.0f}{peak:12.0f}{peak - before:24.0f}")
    print(f"scikit-image takes {totals['scikit-image'] / totals['tintype']:.1f} times as long")
    for name, other in (("scikit-image", results["scikit-image"]), ("exact", _exact_finish(prepare(rgb, SIZE), ab))):
        steps = np.abs(results["tintype"].astype(np.int16) - other)
        print(f"difference from {name}: at most {steps.max()} 8-bit steps; {100 * (steps <= 1).mean():.4f}% within one")


def measure_upsampling(picture: Path | None) -> None:
    """Compare edge-aware upsampling with bilinear on photographs reduced to 128 pixels and back."""
    from skimage import data

    methods: dict[str, Callable[[Plane, Plane, Plane], Plane]] = {
        "bilinear": lambda ab, _, lightness: _resized(ab, lightness, cv2.INTER_LINEAR),
        "bicubic": lambda ab, _, lightness: _resized(ab, lightness, cv2.INTER_CUBIC),
        "edge-aware": upsample_color,
    }
    print(
        "\nColour reduced to 128 pixels and back: mean error of a*b* (all pixels / the tenth with the strongest edges)"
    )
    print(f"{'':14}" + "".join(f"{name:>20}" for name in methods))
    errors: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    rows = []
    for name in PHOTOGRAPHS:
        rgb = np.ascontiguousarray(getattr(data, name)())
        lab = rgb_to_lab(rgb)
        lightness, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(lab[..., 1:])
        height, width = (max(1, round(side * SIZE / max(lightness.shape))) for side in lightness.shape)
        small = resize(ab, height, width), resize(lightness, height, width)
        edges = _strongest_edges(ab)
        upsampled = {method: upsample(*small, lightness) for method, upsample in methods.items()}
        distance = {method: np.linalg.norm(other - ab, axis=-1) for method, other in upsampled.items()}
        for method in methods:
            errors[method].append((float(distance[method].mean()), float(distance[method][edges].mean())))
        print(f"{name:14}" + "".join(f"{_pair(errors[method][-1]):>20}" for method in methods))
        window = _worst_window(distance["bilinear"] * edges)
        shown = ("bilinear", "edge-aware")
        joined = (join_lightness_and_color(lightness, upsampled[method]) for method in shown)
        maps = (_error_map(distance[method]) for method in shown)
        rows.append([image[window] for image in (rgb, *joined, *maps)])
    means = {method: tuple(np.mean(errors[method], axis=0)) for method in methods}
    print(f"{'mean':14}" + "".join(f"{_pair(means[method]):>20}" for method in methods))
    less = [100 * (1 - ours / plain) for ours, plain in zip(means["edge-aware"], means["bilinear"], strict=True)]
    print(f"edge-aware errs {less[0]:.0f}% less than bilinear, {less[1]:.0f}% less at edges")
    if picture is not None:
        write_whole(picture, _drawn(rows))
        print(f"details, enlarged {ZOOM} times, in {picture}; errors of {DARKEST_ERROR:g} units are black")


def measure_cold_start(server: str, repetitions: int) -> None:
    """Time a new interpreter up to its first colour of a photograph of 1 megapixel."""
    photo = encode_photo(resize(_photograph(), 866, 1155), "JPEG")
    code = (
        "import sys, time; start = time.perf_counter(); from tintype import Colorizer\n"
        "data = sys.stdin.buffer.read()\n"
        f"with Colorizer({server!r}) as colorizer: colorizer.colorize(data)\n"
        "print(time.perf_counter() - start)"
    )
    inside, whole = [], []
    for _ in range(repetitions):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], input=photo, capture_output=True, check=True)
        whole.append(time.perf_counter() - start)
        inside.append(float(done.stdout))
    print(
        f"\nCold start: import and first colour of 1 megapixel in {statistics.median(inside):.2f} s, "
        f"with the interpreter's own start and end {statistics.median(whole):.2f} s (medians of {repetitions})"
    )


def _photograph() -> Picture:
    from skimage import data

    large: Picture = cv2.resize(data.astronaut(), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return large


def _square_color(rgb: Picture) -> Plane:
    """Return the photograph's own colour for the square of the network: the answer of a perfect one."""
    prepared = prepare(rgb, SIZE)
    ab = np.zeros((SIZE, SIZE, 2), np.float32)
    content = crop(ab, prepared.box)
    content[:] = rgb_to_lab(resize(rgb, *content.shape[:2]))[..., 1:]
    return ab


def _scikit_prepare(rgb: Picture) -> Prepared:
    from skimage import color, transform, util

    lightness = color.rgb2lab(util.img_as_float32(rgb))[..., 0]
    scale = SIZE / max(lightness.shape)
    height, width = (round(side * scale) for side in lightness.shape)
    small = transform.resize_local_mean(lightness, (height, width))
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    square = np.pad(small, [(top, SIZE - height - top), (left, SIZE - width - left)], mode="edge")
    return Prepared(square[..., None].astype(np.float32), (top, left, height, width), lightness, rgb.dtype)


def _scikit_finish(prepared: Prepared, ab: Plane) -> Picture:
    """Do what `finish` does with scikit-image's functions where it has them, in float32."""
    from skimage import color, morphology, transform, util

    small, small_lightness = crop(ab, prepared.box), crop(prepared.square[..., 0], prepared.box)
    window = np.ones((3, 3))
    darkest, brightest = morphology.erosion(small_lightness, window), morphology.dilation(small_lightness, window)
    planes = [small, _slope_of_windows(small, small_lightness), small_lightness, darkest - 5, brightest + 5]
    small = np.dstack(planes)
    shape = (*prepared.lightness.shape, small.shape[-1])
    full = transform.resize(small, shape, order=3, mode="edge", anti_aliasing=False, clip=False)
    detail = np.minimum(np.maximum(prepared.lightness, full[..., 5]), full[..., 6]) - full[..., 4]
    ab = full[..., :2] + full[..., 2:4] * detail[..., None]
    with warnings.catch_warnings(action="ignore"):  # of colours beyond XYZ, which are clipped
        xyz = color.lab2xyz(np.dstack([prepared.lightness, ab]))
    gray = xyz[..., 1:2] * color.xyz_tristimulus_values(illuminant="D65", observer="2", dtype=np.float32)
    linear, linear_gray = xyz @ color.colorconv.rgb_from_xyz.T.astype(np.float32), xyz[..., 1:2]
    kept = _share_inside_gamut(linear, linear_gray)
    rgb: Picture = util.img_as_ubyte(color.xyz2rgb(gray + kept * (xyz - gray)))
    return rgb


def _exact_finish(prepared: Prepared, ab: Plane) -> NDArray[np.int_]:
    """Do what `finish` does in float64, formula by formula: nothing but the upsampling is the client's own."""
    box = prepared.box
    ab = upsample_color(crop(ab, box), crop(prepared.square[..., 0], box), prepared.lightness).astype(np.float64)
    xyz_of_rgb = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    xyz_of_rgb /= xyz_of_rgb.sum(1, keepdims=True)
    fy = (prepared.lightness.astype(np.float64) + 16) / 116
    f = np.stack([fy + ab[..., 0] / 500, fy, fy - ab[..., 1] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear, gray = xyz @ np.linalg.inv(xyz_of_rgb).T, xyz[..., 1:2]
    linear = np.clip(gray + _share_inside_gamut(linear, gray) * (linear - gray), 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    exact: NDArray[np.int_] = np.round(255 * rgb).astype(int)
    return exact


def _share_inside_gamut(linear: Plane, gray: Plane) -> Plane:
    difference = linear - gray
    below, above = np.maximum(-difference.min(-1), 1e-6), np.maximum(difference.max(-1), 1e-6)
    share: Plane = np.minimum(np.minimum(gray[..., 0] / below, (1 - gray[..., 0]) / above), 1)[..., None]
    return share


def _slope_of_windows(ab: Plane, lightness: Plane) -> Plane:
    from scipy.ndimage import uniform_filter

    def mean(values: Plane) -> Plane:
        filtered: Plane = uniform_filter(values, (3, 3, 0)[: values.ndim], mode="nearest")
        return filtered

    variance = mean(lightness**2) - mean(lightness) ** 2
    covariance = mean(ab * lightness[..., None]) - mean(ab) * mean(lightness)[..., None]
    return mean(covariance / (np.maximum(variance, 0) + 50.0)[..., None])


IMPLEMENTATIONS: dict[str, tuple[Callable[[Picture], Prepared], Callable[[Prepared, Plane], Picture]]] = {
    "tintype": (lambda rgb: prepare(rgb, SIZE), finish),
    "scikit-image": (_scikit_prepare, _scikit_finish),
}


def _work_of_one(name: str) -> None:
    """Print the peak of this process's memory after the work, and before it with all loaded, in MB."""
    import scipy.ndimage  # noqa: F401
    from skimage import color, transform, util  # noqa: F401

    cv2.setNumThreads(1)
    rgb = _photograph()
    ab = np.zeros((SIZE, SIZE, 2), np.float32)
    prepare_one, finish_one = IMPLEMENTATIONS[name]
    before = _own_peak_megabytes()
    finish_one(prepare_one(rgb), ab)
    print(_own_peak_megabytes(), before)


def _peak_megabytes(name: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.client", "--only-once", name]
    peak, before = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    return float(peak), float(before)


def _own_peak_megabytes() -> float:
    # Linux; the ru_maxrss of getrusage would begin with that of the process this one was started from.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _pair(errors: tuple[float, ...]) -> str:
    return " / ".join(f"{error:.2f}" for error in errors)


def _resized(ab: Plane, lightness: Plane, interpolation: int) -> Plane:
    """Enlarge `ab` to the size of `lightness`."""
    return np.asarray(cv2.resize(ab, lightness.shape[::-1], interpolation=interpolation), ab.dtype)


def _strongest_edges(ab: Plane) -> NDArray[np.bool_]:
    gradient = sum(np.abs(part) for part in np.gradient(ab, axis=(0, 1))).sum(-1)
    strongest: NDArray[np.bool_] = gradient > np.quantile(gradient, 0.9)
    return strongest


def _worst_window(error: Plane) -> tuple[slice, slice]:
    mean = cv2.blur(error, (WINDOW, WINDOW))
    half = WINDOW // 2
    inside = mean[half : error.shape[0] - half, half : error.shape[1] - half]
    top, left = np.unravel_index(np.argmax(inside), inside.shape)
    return slice(int(top), int(top) + WINDOW), slice(int(left), int(left) + WINDOW)


def _error_map(distance: Plane) -> Picture:
    gray = 255 * (1 - np.minimum(distance / DARKEST_ERROR, 1))
    return np.repeat(gray[..., None].astype(np.uint8), 3, axis=-1)


def _drawn(rows: list[list[Picture]]) -> bytes:
    """Put the windows side by side, one row per photograph, and name the columns."""
    gap, side = 8, WINDOW * ZOOM
    columns = len(rows[0])
    header = 28
    canvas = np.full((header + len(rows) * (side + gap), columns * (side + gap) - gap, 3), 255, np.uint8)
    for column, title in enumerate(TITLES):
        place = (column * (side + gap) + 2, 20)
        cv2.putText(canvas, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    for row, windows in enumerate(rows):
        for column, window in enumerate(windows):
            top, left = header + row * (side + gap), column * (side + gap)
            canvas[top : top + side, left : left + side] = cv2.resize(
                window, (side, side), interpolation=cv2.INTER_NEAREST
            )
    return encode_photo(canvas, "JPEG", quality=90)


if __name__ == "__main__":
    main()
