"""What happens when a photograph is copied: the screen of printed pages, JPEG. Effects as in `photo.aging.negative`."""

import cv2
import numpy as np

from photo.aging.negative import Gray


def halftone(gray: Gray, draws: np.random.Generator) -> Gray:
    """Dots of a printed page, their screen turned to any angle, more or less blurred by the scan."""
    height, width = gray.shape
    period, angle = draws.uniform(0.02, 0.05) * height, draws.uniform(0, np.pi / 2)
    down, across = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    frequency = np.float32(2 * np.pi / max(period, 2.5))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    one = np.cos(frequency * (across * cosine + down * sine))
    other = np.cos(frequency * (down * cosine - across * sine))
    screen = np.float32(0.5) + np.float32(0.25) * (one + other)
    dots = np.clip((gray - screen) * np.float32(4.0) + np.float32(0.5), 0.0, 1.0)
    return np.asarray(gray + np.float32(draws.uniform(0.1, 0.5)) * (dots - gray))


def jpeg(gray: Gray, draws: np.random.Generator) -> Gray:
    """A JPEG of poor quality."""
    quality = int(draws.integers(12, 70))
    _, encoded = cv2.imencode(".jpg", np.round(gray * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(255)
