"""Operations of Keras that tf2onnx, with which Keras exports models to ONNX, does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.handler import tf_op


def register_operators() -> None:
    """Make tf2onnx know `gelu` and the draws of a `Sampling` layer."""
    tf_op("Erfc")(_Erfc)
    tf_op("StatelessRandomNormalV2")(_RandomNormal)


class _Erfc:
    """1 - erf, which `gelu` is made of."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
        """Replace the node."""
        erf = ctx.make_node("Erf", node.input[:1])
        one = ctx.make_const(utils.make_name("one"), np.array(1.0, np.float32))
        _replace(ctx, node, "Sub", [one.output[0], erf.output[0]])


class _RandomNormal:
    """Draws of a seeded generator; in ONNX its seed is the runtime's."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
        """Replace the node."""
        shape = ctx.make_node("Cast", node.input[:1], attr={"to": 7})  # int64
        zeros = ctx.make_node("ConstantOfShape", shape.output)
        _replace(ctx, node, "RandomNormalLike", zeros.output, {"dtype": 1})  # float32


def _replace(
    ctx: Any, node: Any, operator: str, inputs: list[str], attr: dict[str, Any] | None = None
) -> None:
    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    ctx.remove_node(node.name)
    ctx.make_node(operator, inputs, outputs=outputs, shapes=shapes, dtypes=dtypes, attr=attr)
