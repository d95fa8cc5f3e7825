"""The process of one task of `tintype compare`; keeps what TensorFlow says at its start off the terminal."""

import sys

from pipeline.comparison.worker import main
from serving.model.quiet_tensorflow import import_tensorflow_quietly

if __name__ == "__main__":
    sys.exit(main(sys.argv, prepare=import_tensorflow_quietly))
