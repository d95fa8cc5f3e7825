"""Colours photographs in a Beam pipeline of your own, and counts how many came from each folder.

    python examples/own_beam_pipeline.py 'scans/**/*.jpg' -o coloured/
    python examples/own_beam_pipeline.py scans/ -o coloured/ --model runs/tintype_lab/serving/colorizer --runner=...

Options that are not named here go to Beam.
"""

import argparse
from pathlib import PurePath

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.combiners import Count

from serving.batch import ColorizePhotos, Outcome, ReadPhotos, SavedModelHandler, WritePhotos


def folder_and_status(outcome: Outcome) -> tuple[str, str]:
    """What is counted: the folder of a photograph, and what became of it."""
    return str(PurePath(outcome.path).parent), outcome.reason or outcome.status


def main() -> None:
    """Read the command line and run the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="folders, globs, archives, lists, photographs")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--model", help="a SavedModel or a base path; the generator that comes along if not given")
    arguments, beam_options = parser.parse_known_args()

    model = arguments.model
    if model is None:
        from serving.model.shipped_generator import shipped_generator, unpack

        model = str(unpack(shipped_generator()))

    with beam.Pipeline(options=PipelineOptions(beam_options)) as pipeline:
        read = pipeline | ReadPhotos(arguments.inputs, output=arguments.output)
        # Between these three nothing may group or reshuffle: a photograph's pixels stay in one worker.
        colored = read.photos | ColorizePhotos(SavedModelHandler(model))
        written = colored.photos | WritePhotos(arguments.output)
        outcomes = (read.outcomes, colored.outcomes, written) | beam.Flatten()
        outcomes | beam.Map(folder_and_status) | Count.PerElement() | beam.Map(print)


if __name__ == "__main__":
    main()
