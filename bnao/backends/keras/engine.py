"""The engine Keras computes with, TensorFlow or JAX: chosen by the user, checked here before anything is built.

bnao never sets KERAS_BACKEND: Keras reads it (or its own keras.json) when it is imported, and so does all that
follows. Every other module of this adapter imports this one first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from bnao.backends import check_alone
from bnao.backends.keras.engines import check_engine, chosen_engine
from bnao.errors import BackendError

_chosen = chosen_engine()
if os.environ.get("KERAS_BACKEND") or find_spec("keras"):  # before Keras fails to import it in its own words
    check_engine(_chosen)
if _chosen == "tensorflow":
    check_alone("tensorflow", "torch")

import keras  # noqa: E402  # only now
import numpy as np  # noqa: E402


def check_layout(layout: str) -> None:
    """Raise BackendError if Keras' images are not (height, width, channels)."""
    if layout != "channels_last":
        raise BackendError(
            f"Keras' image_data_format is {layout!r}; bnao's networks in Keras need 'channels_last' "
            f"(keras.json, or keras.config.set_image_data_format)"
        )


#: what Keras computes with: "tensorflow" or "jax"
ENGINE = check_engine(str(keras.backend.backend()))
check_layout(keras.config.image_data_format())


# --- what Keras' own operations lack

if ENGINE == "tensorflow":
    import tensorflow as tf
else:
    import jax

    try:
        from jax import enable_x64
    except ImportError:  # an older JAX
        from jax.experimental import enable_x64


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function built once for each shape of its arguments, and then called.

    Under JAX by XLA. Under TensorFlow as a part of a graph that is not copied into its caller, which makes the
    building and the first run of a large network several times faster.
    """
    if ENGINE == "jax":
        return jax.jit(function)
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def compiled_by_rank(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as ``compiled`` does, under TensorFlow, but built once for all sizes of its arguments.

    Within it, images and channels are of unknown size. Known are numbers of dimensions, whole numbers' shapes, and how
    many slots a stack of kernels has, and the kernels' height and width.
    """
    if ENGINE == "jax":
        return compiled(function)
    built: dict[Any, Callable[..., Any]] = {}

    def called(*arguments: Any) -> Any:
        flat = [tf.convert_to_tensor(each) for each in tf.nest.flatten(arguments)]
        structure = tf.nest.map_structure(lambda _: 0, arguments)
        specs = tuple(tf.TensorSpec(_of_unknown_size(each), each.dtype) for each in flat)
        key = repr(structure), specs

        def of_flat(flat: Sequence[Any]) -> Any:
            return function(*tf.nest.pack_sequence_as(structure, flat))

        if key not in built:
            graph = tf.function(of_flat, autograph=False, experimental_attributes={"_noinline": True})
            built[key] = graph.get_concrete_function(list(specs))
        return built[key](flat)

    return called


def _of_unknown_size(x: Any) -> list[int | None]:
    if not x.dtype.is_floating:
        return list(x.shape)
    known = 3 if len(x.shape) == 5 else 0  # (slots, height, width, input channels, output channels)
    return [*x.shape[:known], *[None] * (len(x.shape) - known)]


def by_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of one array, compiled by JAX once for each shape, where it is called operation by operation.

    Under TensorFlow it stays as it is: there it is a part of a graph.
    """
    return jax.jit(function) if ENGINE == "jax" else function


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one program for each shape of its arguments: a TensorFlow graph, or compiled by XLA."""
    if ENGINE == "jax":
        return jax.jit(function)
    graph = tf.function(function, autograph=False)

    def called(*arguments: Any) -> Any:
        # a NumPy array would be a constant, and another graph
        return graph(
            *(tf.convert_to_tensor(each) if isinstance(each, np.generic | np.ndarray) else each for each in arguments)
        )

    return called


def double_precision() -> contextlib.AbstractContextManager[object]:
    """Where float64 arrays can be made: JAX makes float32 of them elsewhere."""
    if ENGINE == "jax":
        return enable_x64(True)
    return contextlib.nullcontext()


def value_and_gradients(
    function: Callable[..., Any], values: Sequence[Any], *others: Any, has_more: bool = False
) -> tuple[Any, list[Any]]:
    """Return the value of a scalar function, and its gradients by some of its arguments.

    With ``has_more`` it gives the scalar and something else, which is handed on.
    """
    if ENGINE == "jax":
        value, gradients = jax.value_and_grad(function, has_aux=has_more)(values, *others)
        return value, gradients
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        value = function(values, *others)
    return value, tape.gradient(value[0] if has_more else value, values, unconnected_gradients="zero")
