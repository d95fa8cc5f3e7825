"""The form in which the colours of a reference travel: letters and digits; quick to import."""

import base64
import binascii
import contextlib
import re

LONGEST_REFERENCE = 1368


def reference_bytes(text: str) -> bytes:
    """Return what a reference's text stands for: four bytes a sample, at most 256 samples; "" has none.

    Raises:
        ValueError: it is no such text.
    """
    if len(text) <= LONGEST_REFERENCE and re.fullmatch("([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2,3}=+)?", text, re.ASCII):
        with contextlib.suppress(binascii.Error):
            data = base64.urlsafe_b64decode(text)
            if len(data) % 4 == 0:
                return data
    raise ValueError("reference: expected the colours of a photograph as Tintype writes them")
