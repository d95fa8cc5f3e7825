"""Colours photographs by a server, with the blocking client.

Start a server first (`tintype serve`), then:

    python examples/client.py grandmother.jpg album/ -o coloured/
"""

import argparse
import sys
from pathlib import Path

from photo.formats import FORMAT_OF_SUFFIX
from tintype import ColoringOptions, Colorizer, ConnectionOptions


def main() -> int:
    """Colour what the command line names; return 1 if a photograph could not be coloured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="+", type=Path, help="files and folders")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--strength", type=float, default=1.0, help="factor on the colour")
    arguments = parser.parse_args()

    files = [file for path in arguments.photographs for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    files = [file for file in files if file.suffix.lower() in FORMAT_OF_SUFFIX]
    arguments.output.mkdir(parents=True, exist_ok=True)

    connection = ConnectionOptions(timeout=60)
    coloring = ColoringOptions(strength=arguments.strength)
    failed = 0
    with Colorizer(arguments.server, connection) as colorizer:
        print(f"{arguments.server} serves {colorizer.describe()}")
        pairs = [(file, arguments.output / file.name) for file in files]
        for result in colorizer.colorize_files(pairs, coloring):
            # One that fails says why; the others go on.
            failed += result.error is not None
            print(f"left out {result.photo}: {result.error}" if result.error else f"{result.photo} is coloured")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
