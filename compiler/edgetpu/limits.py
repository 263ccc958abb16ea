"""The limits of single operators on an Edge TPU, as checks: coral.ai/docs/edgetpu/models-intro, "Supported operations", compiler 16.

Where the documentation says "large" or "depending on size", sizes that published compiled models show on one side or the other decide,
and what lies between is unknown.
"""

from __future__ import annotations

import math

from compiler.edgetpu.case import Case, Verdict, Where

MAX_SOFTMAX_ELEMENTS = 16_000
Z_MULTIPLE = 4
# A mean over an image of 33 x 33 is mapped in a published model; one over 256 x 128 is known not to be.
LARGEST_MAPPED_MEAN = 33 * 33
SMALLEST_UNMAPPED_MEAN = 256 * 128
# "Certain reshapes might not be mapped for large tensor sizes" gives no number; above this nothing is promised.
PLAIN_RESHAPE_ELEMENTS = 1 << 16
# Published models map bilinear doubling up to 48 x 48 with 64 channels, and leave 33 x 33 to 513 x 513 with 19 on the CPU.
LARGEST_MAPPED_RESIZE = 48 * 48 * 64
SMALLEST_UNMAPPED_RESIZE = 513 * 513 * 19
AXES = {0: "z", 1: "x", 2: "y"}


def no_fused_activation(case: Case) -> Verdict | None:
    """Refuse an activation function that is fused in."""
    if not case.option("fusedActivationFunction", 0):
        return None
    return Verdict("cpu", "it has a fused activation function", "put the activation function behind it, as an operator of its own")


def zero_constant(case: Case) -> Verdict | None:
    """Let a concatenation have a constant only as zero padding: two inputs, and the constant all zeros."""
    for tensor in case.inputs:
        if tensor is None or tensor.data is None:
            continue
        zero_point = tensor.quantization.zero_points[0] if tensor.quantization and tensor.quantization.zero_points else 0
        if len(case.inputs) != 2 or (tensor.data != zero_point).any():
            return Verdict("cpu", "a constant is joined that is not the zeros of the second of two inputs")
    return None


def one_dilation(case: Case) -> Verdict | None:
    """Refuse dilations that differ."""
    x, y = case.option("dilationWFactor", 1), case.option("dilationHFactor", 1)
    return None if x == y else Verdict("cpu", f"its dilations differ: {x} in x, {y} in y")


def constant_parameters(case: Case) -> Verdict | None:
    """Ask for weights and bias that are known when the model is compiled."""
    place = 1 if case.kind != "TRANSPOSE_CONV" else 0
    computed = [tensor for number, tensor in enumerate(case.inputs) if tensor is not None and tensor.data is None]
    return None if len(computed) == 1 and case.inputs[place] not in computed else Verdict("cpu", "its weights or bias are computed")


def one_row(case: Case) -> Verdict | None:
    """Refuse a dense layer of several rows, and any weight format but the default one."""
    if case.option("weightsFormat", 0):
        return Verdict("cpu", "its weights are not in the default format")
    rows = math.prod(case.result.shape[:-1])
    if rows == 1:
        return None
    return Verdict("cpu", f"its output has {rows} rows, not one", "a CONV_2D of one element with the same weights, the rows as pixels")


def reduced_plane(case: Case) -> Verdict | None:
    """Limit a mean: not over the batch, over z only by multiples of 4, and not too large."""
    axes = _axes(case)
    if axes is None:
        return Verdict("cpu", "its axes are computed")
    if refusal := _without_batch(axes):
        return refusal
    sizes = [case.source.shape[-1 - axis] for axis in axes]
    if 0 in axes and case.source.shape[-1] % Z_MULTIPLE:
        return Verdict("cpu", f"it reduces z of size {case.source.shape[-1]}, which is no multiple of {Z_MULTIPLE}")
    elements = math.prod(sizes)
    if elements <= LARGEST_MAPPED_MEAN:
        return None
    where: Where = "cpu" if elements >= SMALLEST_UNMAPPED_MEAN else "unknown"
    return Verdict(where, f"it is a mean of {elements:,} elements, more than is known to map", "two means, one along each axis")


def not_the_batch(case: Case) -> Verdict | None:
    """Refuse a reduction over the batch."""
    axes = _axes(case)
    return Verdict("cpu", "its axes are computed") if axes is None else _without_batch(axes)


def batch_is_whole(case: Case) -> Verdict | None:
    """Refuse to split or pack along the batch."""
    if case.kind == "PACK":
        place, rank = int(case.option("axis", 0)), len(case.result.shape)
    else:
        given = case.numbers(0)
        if given is None:
            return Verdict("cpu", "its axis is computed")
        place, rank = given[0], len(case.source.shape)
    return _without_batch((rank - 1 - place % rank,))


def batch_is_unpadded(case: Case) -> Verdict | None:
    """Refuse padding of the batch."""
    margins = case.numbers(1)
    if margins is None:
        return Verdict("cpu", "its margins are computed")
    rank = len(margins) // 2
    return _without_batch(tuple(rank - 1 - axis for axis in range(rank) if any(margins[2 * axis : 2 * axis + 2])))


def row_of_slopes(case: Case) -> Verdict | None:
    """Ask for one slope a channel."""
    slopes = case.inputs[1]
    if slopes is None or slopes.data is None:
        return Verdict("cpu", "its slopes are computed")
    if math.prod(slopes.shape[:-1]) == 1:
        return None
    return Verdict("cpu", f"its slopes have the shape {list(slopes.shape)}, not one a channel", "share the slopes over height and width")


def plain_reshape(case: Case) -> Verdict | None:
    """Promise nothing for large tensors."""
    elements = math.prod(case.result.shape)
    if elements <= PLAIN_RESHAPE_ELEMENTS:
        return None
    return Verdict("unknown", f"reshapes of large tensors may not map, and it has {elements:,} elements")


def known_resize(case: Case) -> Verdict | None:
    """Judge a resize by the sizes that published models show on either side."""
    if len(case.source.shape) != 4:
        return Verdict("cpu", f"its input has {len(case.source.shape)} dimensions, not those of an image")
    before, after = case.source.shape[1:3], case.result.shape[1:3]
    elements, is_bilinear = math.prod(case.result.shape), case.kind == "RESIZE_BILINEAR"
    sizes = f"from {before[0]} x {before[1]} to {after[0]} x {after[1]} with {case.result.shape[3]} channels"
    if before == after or (after == (2 * before[0], 2 * before[1]) and elements <= LARGEST_MAPPED_RESIZE):
        return None
    if before == (1, 1):
        return Verdict(
            "cpu", f"resizing {sizes} is not mapped in a published model", "TILE, which repeats the only pixel and is mapped there"
        )
    if is_bilinear and elements >= SMALLEST_UNMAPPED_RESIZE:
        return Verdict("cpu", f"resizing {sizes} loses precision", "end the model before it, and resize on the CPU")
    return Verdict("unknown", f"whether resizing {sizes} maps depends on the size")


def one_distribution(case: Case) -> Verdict | None:
    """Limit Softmax to one row."""
    shape = case.source.shape
    if math.prod(shape[:-1]) != 1:
        return Verdict("cpu", f"its input {list(shape)} is more than one row", "end the model before it")
    if shape[-1] > MAX_SOFTMAX_ELEMENTS:
        return Verdict("cpu", f"its row has {shape[-1]:,} elements, more than {MAX_SOFTMAX_ELEMENTS:,}", "end the model before it")
    return None


def leading_ones(case: Case) -> Verdict | None:
    """Let Squeeze drop leading dimensions alone."""
    before, after = case.source.shape, case.result.shape
    if before[len(before) - len(after) :] == after:
        return None
    return Verdict("cpu", f"it drops inner dimensions, from {list(before)} to {list(after)}", "RESHAPE")


def dense_slice(case: Case) -> Verdict | None:
    """Limit a strided slice: strides 1, no ellipsis, no new axis."""
    strides = case.numbers(3)
    if strides is None:
        return Verdict("cpu", "its strides are computed")
    if set(strides) != {1}:
        return Verdict("cpu", f"its strides are {list(strides)}, not 1")
    for mask in ("ellipsisMask", "newAxisMask"):
        if case.option(mask, 0):
            return Verdict("cpu", f"its {mask} is {case.option(mask, 0)}, not 0")
    return None


def repeated_pixel(case: Case) -> Verdict | None:
    """Believe a TILE only in the form that a published compiled model has mapped: one pixel over an image."""
    before, after = case.source.shape, case.result.shape
    is_pixel = len(before) == 4 and before[:3] == (1, 1, 1) and after[0] == 1 and before[3] == after[3]
    return None if is_pixel else Verdict("unknown", "TILE is not among the published operators, though one published model maps it")


def _axes(case: Case) -> tuple[int, ...] | None:
    """Return the axes of a reduction counted from the end: 0 is z, 1 is x, 2 is y, and what follows the batch."""
    given, rank = case.numbers(1), len(case.source.shape)
    return None if given is None else tuple(rank - 1 - axis % rank for axis in given)


def _without_batch(axes: tuple[int, ...]) -> Verdict | None:
    return None if all(axis in AXES for axis in axes) else Verdict("cpu", "it works along the batch")
