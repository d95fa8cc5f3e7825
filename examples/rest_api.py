"""Colours a photograph over the model server's REST API, with nothing but Python's own library.

The signature `colorize_bytes` takes a photograph's file and gives a colour JPEG of the same size. Any language that can
send JSON can do the same. Start a server first (`tintype serve --rest_api_port=8501`), then:

    python examples/rest_api.py grandmother.jpg coloured.jpg

The gRPC client does more: any size and format, metadata, colour that follows the edges (`examples/client.py`).
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path


def colorize(photo: bytes, server: str, model: str) -> bytes:
    """Return the colour JPEG that the server makes of a photograph's file."""
    body = {"signature_name": "colorize_bytes", "instances": [{"b64": base64.b64encode(photo).decode()}]}
    request = urllib.request.Request(
        f"{server}/v1/models/{model}:predict",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return base64.b64decode(json.load(response)["predictions"][0]["b64"])


def main() -> int:
    """Read the command line; return 1 if the server refused the photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--model", default="colorizer")
    arguments = parser.parse_args()
    try:
        coloured = colorize(arguments.photograph.read_bytes(), arguments.server, arguments.model)
    except urllib.error.HTTPError as error:
        print(f"the server refused: {json.load(error)['error']}", file=sys.stderr)
        return 1
    arguments.output.write_bytes(coloured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
