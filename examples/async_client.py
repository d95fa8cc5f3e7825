"""Colours a folder of photographs at once, with the asynchronous client.

Start a server first (`tintype serve`), then:

    python examples/async_client.py album/ -o coloured/
"""

import argparse
import asyncio
from pathlib import Path

from tintype import AsyncColorizer, ColoringOptions, PhotoFormat


async def colorize_folder(folder: Path, output: Path, server: str, concurrency: int) -> int:
    """Colour every photograph of `folder` into a PNG below `output`; return how many could not be."""
    output.mkdir(parents=True, exist_ok=True)
    options = ColoringOptions(format=PhotoFormat.PNG)
    failed = 0
    async with AsyncColorizer(server) as colorizer:
        # Results come in the photographs' order, at most `concurrency` are worked on at a time.
        async for result in colorizer.colorize_many(sorted(folder.iterdir()), options, concurrency=concurrency):
            if result.colored is None:
                failed += 1
                print(f"left out {result.photo}: {result.error}")
            else:
                target = output / f"{result.photo.stem}.png"
                await asyncio.to_thread(target.write_bytes, result.colored)
                print(f"{result.photo} -> {target}")
    return failed


def main() -> int:
    """Read the command line; return 1 if a photograph could not be coloured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--concurrency", type=int, default=8)
    arguments = parser.parse_args()
    failed = asyncio.run(colorize_folder(arguments.folder, arguments.output, arguments.server, arguments.concurrency))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
