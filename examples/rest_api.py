"""Colours a photograph over the model server's REST API: what travels is JSON, as any language can send it.

The model takes the lightness (CIE L*) of a square and answers with a*b* for it. Taking the square from a photograph,
and laying the colour over the full-size photograph, is this side's work. Start a server first
(`tintype serve --rest_api_port=8501`), then:

    python examples/rest_api.py grandmother.jpg coloured.jpg
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from photo.apply_ab import apply_ab
from photo.coloring import prepare
from photo.decoding import decode_photo
from photo.errors import PhotoError


def predict(url: str, **body: Any) -> Any:
    """Ask a model for one row; the answer has one row, too."""
    request = urllib.request.Request(
        f"{url}:predict", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["predictions"][0]


def colorize(photo: bytes, url: str) -> bytes:
    """Return a photograph's file in colour, asking the model at `url`."""
    size = predict(url, signature_name="describe", instances=[""])["size"]
    square = prepare(decode_photo(photo).rgb, size).square  # L*, float32 [size, size, 1]
    ab = predict(url, instances=[square.tolist()])  # [size, size, 2]
    return apply_ab(photo, np.float32(ab))


def main() -> int:
    """Read the command line; return 1 if the photograph could not be coloured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--model", default="colorizer")
    arguments = parser.parse_args()
    try:
        coloured = colorize(arguments.photograph.read_bytes(), f"{arguments.server}/v1/models/{arguments.model}")
    except urllib.error.HTTPError as error:
        print(f"the server refused: {json.load(error)['error']}", file=sys.stderr)
        return 1
    except PhotoError as error:
        print(error, file=sys.stderr)
        return 1
    arguments.output.write_bytes(coloured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
