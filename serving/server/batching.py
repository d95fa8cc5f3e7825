"""Puts requests that arrive together into one run of a signature, by TensorFlow's own batch kernel."""

import itertools
import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from serving.model.session_model import Signature
from serving.server.config_files import BatchingParameters
from serving.server.errors import invalid

log = logging.getLogger(__name__)

# Each shape has a queue and a trace of its own; a client that sends every photo in its own size must not fill memory.
_MAX_SHAPES = 64


class _QueueNames:
    """Names for the kernel's queues, used again once their signature is gone.

    The kernel never forgets a queue: with a fresh name for every version, memory would grow with every switch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[str] = []
        self._numbers = itertools.count()

    def take(self) -> str:
        with self._lock:
            return self._free.pop() if self._free else f"queue-{next(self._numbers)}"

    def give_back(self, names: Sequence[str]) -> None:
        with self._lock:
            self._free.extend(names)


_queue_names: dict[BatchingParameters, _QueueNames] = {}
_queue_names_lock = threading.Lock()


class BatchedSignature:
    """A signature whose concurrent calls are run together, with TensorFlow Serving's semantics.

    Calls are joined along dimension 0 and only with calls of the same shape in all others: they cannot fail because
    of each other's shape. All signatures with equal parameters share one pool of batch threads, as the models of
    TensorFlow Serving do. Further shapes than the 64 first are run unbatched.

    Args:
        run: the signature; it takes tensors by name and returns tensors by name.
        inputs: its inputs' specifications by name.
        outputs: its outputs' names.
        parameters: the sizes and times of batches.
    """

    def __init__(
        self,
        run: Signature,
        inputs: Mapping[str, tf.TensorSpec],
        outputs: Sequence[str],
        parameters: BatchingParameters,
    ):
        self._run = run
        self._input_names = list(inputs)
        self._dtypes = [spec.dtype for spec in inputs.values()]
        self._output_names = list(outputs)
        self._parameters = parameters
        self._computation = (
            tf.function(self._run_in_order, autograph=False).get_concrete_function(
                *(tf.TensorSpec(spec.shape, spec.dtype) for spec in inputs.values())
            )
            if inputs
            else None
        )
        self._by_shape: dict[tuple[tuple[int, ...], ...], Callable[..., list[tf.Tensor]] | None] = {}
        self._lock = threading.Lock()
        with _queue_names_lock:
            self._names = _queue_names.setdefault(parameters, _QueueNames())
        self._taken: list[str] = []
        weakref.finalize(self, self._names.give_back, self._taken)

    def __call__(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the signature on these inputs, together with others if there are any.

        Raises:
            RequestError: INVALID_ARGUMENT for inputs that cannot be batched.
            tf.errors.UnavailableError: the queue is full.
            tf.errors.OpError: the signature failed, on these inputs or on others of the same batch.
        """
        tensors = [inputs[name] for name in self._input_names]
        if _rows(tensors) == 0:
            return self._run(inputs)  # the kernel gives outputs of an empty batch no shape
        shapes = tuple(tuple(tensor.shape[1:]) for tensor in tensors)
        batched = self._by_shape[shapes] if shapes in self._by_shape else self._add(shapes)
        if batched is None:
            return self._run(inputs)
        return dict(zip(self._output_names, batched(*tensors), strict=True))

    def _run_in_order(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = self._run(dict(zip(self._input_names, tensors, strict=True)))
        return [outputs[name] for name in self._output_names]

    def _add(self, shapes: tuple[tuple[int, ...], ...]) -> Callable[..., list[tf.Tensor]] | None:
        with self._lock:
            if shapes not in self._by_shape:
                if len(self._by_shape) >= _MAX_SHAPES:
                    log.warning("more than %d input shapes: further ones are not batched", _MAX_SHAPES)
                    return None
                self._by_shape[shapes] = self._trace(shapes)
            return self._by_shape[shapes]

    def _trace(self, shapes: tuple[tuple[int, ...], ...]) -> Callable[..., list[tf.Tensor]]:
        computation = self._computation
        assert computation is not None
        queue = self._names.take()
        self._taken.append(queue)
        limits = self._parameters

        def batched(*tensors: tf.Tensor) -> list[tf.Tensor]:
            # The operation beneath tf.nondifferentiable_batch_function, which gives all functions of a process one
            # queue: two models would land in one batch.
            outputs: list[tf.Tensor] = tf.raw_ops.BatchFunction(
                in_tensors=tensors,
                captured_tensors=computation.captured_inputs,
                f=computation,
                Tout=[output.dtype for output in computation.outputs],
                num_batch_threads=limits.num_batch_threads,
                max_batch_size=limits.max_batch_size,
                batch_timeout_micros=limits.batch_timeout_micros,
                max_enqueued_batches=limits.max_enqueued_batches,
                allowed_batch_sizes=_allowed_batch_sizes(limits),
                enable_large_batch_splitting=limits.enable_large_batch_splitting,
                shared_name=f"tintype {limits}",
                batching_queue=queue,
            )
            return outputs

        traced: Callable[..., list[tf.Tensor]] = tf.function(batched, autograph=False).get_concrete_function(
            *(tf.TensorSpec([None, *shape], dtype) for shape, dtype in zip(shapes, self._dtypes, strict=True))
        )
        return traced


def _allowed_batch_sizes(limits: BatchingParameters) -> list[int]:
    if limits.allowed_batch_sizes or limits.execution_batch_size == limits.max_batch_size:
        return list(limits.allowed_batch_sizes)
    # The kernel knows the size of a batch to run only as the last allowed size.
    return list(range(1, limits.execution_batch_size + 1))


def _rows(tensors: Sequence[tf.Tensor]) -> int:
    if not tensors:
        raise invalid("Batching Run() must have at least one input tensor")
    if any(tensor.shape.rank == 0 for tensor in tensors):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    if len({tensor.shape[0] for tensor in tensors}) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return int(tensors[0].shape[0])
