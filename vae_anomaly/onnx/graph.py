"""Building ONNX graphs by NumPy's operators: values that record what is done with them.

`Namespace` has those functions of NumPy that `losses`, `missing` and `calibration` call on the
array namespace ``xp``, so that the graph is made by the code that trains and scores. Values know
their type and number of axes, and nothing of ONNX is needed outside this package.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 18
OPSET_ML = 2
"""The versions of ONNX's operators and of those for machine learning that are used."""


class Value:
    """A value in a graph, with the operators of an array.

    Parameters
    ----------
    graph : Graph
        The graph.
    name : str
        The name of the value in it.
    dtype : numpy dtype
        The type of its elements.
    ndim : int
        The number of its axes.
    """

    __array_ufunc__ = None  # so that NumPy leaves operators between arrays and values to this class

    def __init__(self, graph: Graph, name: str, dtype: Any, ndim: int) -> None:
        self.graph, self.name, self.dtype, self.ndim = graph, name, np.dtype(dtype), ndim

    def __add__(self, other: Any) -> Value:
        return self.graph.elementwise("Add", self, other)

    def __radd__(self, other: Any) -> Value:
        return self.graph.elementwise("Add", other, self)

    def __sub__(self, other: Any) -> Value:
        return self.graph.elementwise("Sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.graph.elementwise("Sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return self.graph.elementwise("Mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return self.graph.elementwise("Mul", other, self)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.elementwise("Div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.graph.elementwise("Div", other, self)

    def __pow__(self, other: Any) -> Value:
        return self.graph.elementwise("Pow", self, other)

    def __neg__(self) -> Value:
        return self.graph.node("Neg", [self], self.dtype, self.ndim)

    def __invert__(self) -> Value:
        return self.graph.node("Not", [self], bool, self.ndim)

    def __or__(self, other: Any) -> Value:
        return self.graph.elementwise("Or", self, other, of=bool)

    def __lt__(self, other: Any) -> Value:
        return self.graph.elementwise("Less", self, other, dtype=bool)

    def __gt__(self, other: Any) -> Value:
        return self.graph.elementwise("Greater", self, other, dtype=bool)

    def equals(self, other: Any) -> Value:
        """Return where the values are equal; ``==`` is left as Python has it."""
        return self.graph.elementwise("Equal", self, other, dtype=bool)

    def __getitem__(self, key: Any) -> Value:
        if key is None:
            axes = np.array([0])
            return self.graph.node("Unsqueeze", [self, axes], self.dtype, self.ndim + 1)
        if key[0] is not Ellipsis or not isinstance(key[1], slice) or key[1].step is not None:
            raise NotImplementedError(f"Only [None] and [..., first:stop] are built, not {key}.")
        span = key[1]
        stop = np.iinfo(np.int64).max if span.stop is None else span.stop
        bounds = [np.array([bound]) for bound in (span.start or 0, stop, -1)]
        return self.graph.node("Slice", [self, *bounds], self.dtype, self.ndim)

    def astype(self, dtype: Any) -> Value:
        """Return the value with elements of another type."""
        if self.dtype == np.dtype(dtype):
            return self
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.graph.node("Cast", [self], dtype, self.ndim, to=to)

    def sum(self, axis: int, dtype: Any = None) -> Value:
        """Return the sums over an axis."""
        value = self if dtype is None else self.astype(dtype)
        return value._reduced("ReduceSum", axis)

    def any(self, axis: int | None = None) -> Value:
        """Return whether any is true, over an axis or in all."""
        return self.astype(np.float32)._reduced("ReduceMax", axis) > 0.5

    def reshape(self, *shape: int) -> Value:
        """Return the value in another shape, in which one size may be -1."""
        return self.graph.node("Reshape", [self, np.array(shape)], self.dtype, len(shape))

    def take(self, columns: Any) -> Value:
        """Return these columns, that is, places of the last axis."""
        return self.graph.node(
            "Gather", [self, np.asarray(columns, np.int64)], self.dtype, self.ndim, axis=-1
        )

    def _reduced(self, operator: str, axis: int | None) -> Value:
        inputs = [self] if axis is None else [self, np.array([axis])]
        ndim = 0 if axis is None else self.ndim - 1
        return self.graph.node(operator, inputs, self.dtype, ndim, keepdims=0)


class Graph:
    """A graph that is being built.

    Parameters
    ----------
    prefix : str, default=""
        What all names start with, so that graphs can be put together.
    """

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._count = 0
        self._constants: dict[tuple, str] = {}

    def input(self, name: str, dtype: Any, ndim: int) -> Value:
        """Return a value that comes from outside."""
        return Value(self, name, dtype, ndim)

    def constant(self, array: Any) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._name("constant")
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def node(
        self,
        operator: str,
        inputs: list[Any],
        dtype: Any,
        ndim: int,
        domain: str = "",
        **attributes: Any,
    ) -> Value:
        """Add an operator to the graph; arrays among its inputs become constants."""
        output = self._name(operator.lower())
        names = [v.name if isinstance(v, Value) else self.constant(v) for v in inputs]
        self.nodes.append(
            helper.make_node(operator, names, [output], name=output, domain=domain, **attributes)
        )
        return Value(self, output, dtype, ndim)

    def elementwise(
        self, operator: str, first: Any, second: Any, *, dtype: Any = None, of: Any = None
    ) -> Value:
        """Add an operator of two values or arrays, which are broadcast.

        The elements are of the type that NumPy would give them, except that arrays and numbers take
        that of the other value.
        """
        if of is None:
            of = np.result_type(*[v.dtype for v in (first, second) if isinstance(v, Value)])
        inputs = [
            v.astype(of) if isinstance(v, Value) else np.asarray(v, of) for v in (first, second)
        ]
        ndim = max(v.ndim for v in inputs)
        return self.node(operator, inputs, of if dtype is None else dtype, ndim)

    def branch(
        self, condition: Value, then: Callable[[], Value], other: Callable[[], Value]
    ) -> Value:
        """Return what `then` gives if a condition (a scalar) is true, else what `other` gives."""
        graphs, outside, result = [], self.nodes, None
        for part in (then, other):
            self.nodes = []
            result = part()
            output = self._name("output")
            self.nodes.append(helper.make_node("Identity", [result.name], [output]))
            shape = [None] * result.ndim
            kind = helper.np_dtype_to_tensor_dtype(result.dtype)
            info = helper.make_tensor_value_info(output, kind, shape)
            graphs.append(helper.make_graph(self.nodes, output, [], [info]))
        self.nodes = outside
        assert result is not None
        return self.node(
            "If",
            [condition],
            result.dtype,
            result.ndim,
            then_branch=graphs[0],
            else_branch=graphs[1],
        )

    def inline(self, model: onnx.ModelProto, inputs: list[Value]) -> list[Value]:
        """Add the graph of a model; return its outputs.

        Its constants are stored once however often it is added.
        """
        own = [value.name for value in model.graph.input]
        names = {"": "", **dict(zip(own, [value.name for value in inputs], strict=True))}
        for tensor in model.graph.initializer:
            names[tensor.name] = self.constant(numpy_helper.to_array(tensor))
        self.nodes.extend(self._renamed(node, names) for node in model.graph.node)
        return [
            Value(
                self,
                names[output.name],
                helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type),
                len(output.type.tensor_type.shape.dim),
            )
            for output in model.graph.output
        ]

    def _renamed(self, node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
        """Return a copy of a node whose outputs have new names, which are added to `names`."""
        renamed = onnx.NodeProto()
        renamed.CopyFrom(node)
        for name in node.output:
            if name:
                names[name] = self._name(name)
        renamed.name = self._name(node.op_type.lower())
        renamed.input[:] = [names[name] for name in node.input]
        renamed.output[:] = [names[name] for name in node.output]
        for attribute in renamed.attribute:
            if attribute.HasField("g"):
                self._rename_inner(attribute.g, dict(names))
        return renamed

    def _rename_inner(self, graph: onnx.GraphProto, names: dict[str, str]) -> None:
        """Rename all within a graph that is an attribute of a node, such as a loop's."""
        for value in [*graph.input, *graph.initializer]:
            names[value.name] = self._name(value.name)
            value.name = names[value.name]
        nodes = [self._renamed(node, names) for node in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        for value in graph.output:
            value.name = names[value.name]
        del graph.value_info[:]

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}{kind}_{self._count}"


class Namespace:
    """NumPy's functions on values of a graph; on arrays alone they are NumPy's own.

    Parameters
    ----------
    graph : Graph
        The graph that is built.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def __getattr__(self, name: str) -> Any:
        operators = {"abs": "Abs", "exp": "Exp", "log": "Log", "round": "Round", "tanh": "Tanh"}
        if name not in operators:
            raise AttributeError(f"The ONNX namespace has no function {name!r}.")

        def function(x: Any) -> Any:
            if not isinstance(x, Value):
                return getattr(np, name)(x)
            return self._graph.node(operators[name], [x], x.dtype, x.ndim)

        return function

    def square(self, x: Any) -> Any:
        """Return the squares."""
        return x * x

    def isnan(self, x: Value) -> Value:
        """Return where there is no number."""
        return self._graph.node("IsNaN", [x], bool, x.ndim)

    def zeros_like(self, x: Value) -> Value:
        """Return zeros in the shape of x."""
        return x - x

    def clip(self, x: Value, low: float, high: float) -> Value:
        """Return values bounded to an interval."""
        bounds = [np.asarray(bound, x.dtype) for bound in (low, high)]
        return self._graph.node("Clip", [x, *bounds], x.dtype, x.ndim)

    def maximum(self, x: Value, low: float) -> Value:
        """Return values bounded from below."""
        return self._graph.node("Max", [x, np.asarray(low, x.dtype)], x.dtype, x.ndim)

    def where(self, condition: Any, x: Any, y: Any) -> Value:
        """Return x where a condition is true, and y elsewhere."""
        values = [v for v in (x, y) if isinstance(v, Value)]
        known: list[Any] = values or [np.asarray(x), np.asarray(y)]
        dtype = np.result_type(*[v.dtype for v in known])
        inputs = [v.astype(dtype) if isinstance(v, Value) else np.asarray(v, dtype) for v in (x, y)]
        condition = condition if isinstance(condition, Value) else np.asarray(condition)
        ndim = max(v.ndim for v in (condition, *inputs))
        return self._graph.node("Where", [condition, *inputs], dtype, ndim)

    def matmul(self, x: Any, y: Any) -> Value:
        """Return the matrix product over the last two axes."""
        dtype = np.result_type(*[v.dtype for v in (x, y) if isinstance(v, Value)])
        inputs: list[Any] = [v if isinstance(v, Value) else np.asarray(v, dtype) for v in (x, y)]
        return self._graph.node("MatMul", inputs, dtype, max(v.ndim for v in inputs))

    def swapaxes(self, x: Any, first: int, second: int) -> Any:
        """Return x with two axes exchanged."""
        order = list(range(x.ndim))
        order[first], order[second] = order[second], order[first]
        return self._graph.node("Transpose", [x], x.dtype, x.ndim, perm=order)

    def mean(self, x: Value, axis: int) -> Value:
        """Return the means over an axis."""
        return self._graph.node(
            "ReduceMean", [x, np.array([axis])], x.dtype, x.ndim - 1, keepdims=0
        )

    def concatenate(self, values: list[Value], axis: int) -> Value:
        """Return values side by side."""
        first = values[0]
        return self._graph.node("Concat", values, first.dtype, first.ndim, axis=axis)


def value_info(name: str, dtype: Any, shape: list[int | None]) -> Any:
    """Return the description of an input or an output; the first axis is that of the rows."""
    kind = (
        onnx.TensorProto.STRING
        if np.dtype(dtype).kind == "U"
        else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    )
    return helper.make_tensor_value_info(name, kind, ["n", *shape[1:]])
