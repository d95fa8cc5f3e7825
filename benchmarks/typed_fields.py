"""What numbers in typed fields cost beside raw bytes: an answer from the server's tensor to the client's array.

    python -m benchmarks.typed_fields [--side 128] [--repetitions 200]

Prints, for float32 [1, SIDE, SIDE, 2], the milliseconds of the server and of the client, the median of all repetitions,
both forms in turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from serving.client import wire
from serving.model.quiet_tensorflow import import_tensorflow_quietly


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="of the square, in pixels")
    parser.add_argument("--repetitions", type=int, default=200)
    arguments = parser.parse_args()
    import_tensorflow_quietly()
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictResponse

    from serving.server.tensor_messages import write_tensor

    ab = np.random.default_rng(0).normal(0, 20, (1, arguments.side, arguments.side, 2)).astype(np.float32)
    tensor = tf.constant(ab)

    def serialized(as_content: bool) -> bytes:
        response = PredictResponse()
        write_tensor(tensor, response.outputs["ab"], as_content=as_content)
        return bytes(response.SerializeToString())

    def read(message: bytes) -> None:
        array = wire.array_from_tensor(wire.PredictResponse.FromString(message).outputs["ab"])
        assert array.shape == ab.shape

    times: dict[tuple[bool, str], list[float]] = {}
    for _ in range(arguments.repetitions):
        for as_content in (True, False):
            message = serialized(as_content)
            times.setdefault((as_content, "server"), []).append(_milliseconds(partial(serialized, as_content)))
            times.setdefault((as_content, "client"), []).append(_milliseconds(partial(read, message)))
    print(f"| float32 {list(ab.shape)} | server ms | client ms | bytes |\n| --- | --- | --- | --- |")
    for as_content, name in ((True, "raw bytes (`tensor_content`)"), (False, "typed field (`float_val`)")):
        server, client = (statistics.median(times[as_content, side]) for side in ("server", "client"))
        print(f"| {name} | {server:.3f} | {client:.3f} | {len(serialized(as_content))} |")


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
