"""What a model can hold that TFLite cannot say, and what a plan can leave out."""

from __future__ import annotations

from compiler.errors import CompilerError


class TfliteError(CompilerError):
    """Root of what keeps a graph from becoming a `.tflite` file."""


class UnsupportedOpError(TfliteError):
    """One node has no equivalent in the asked form of TFLite; `advice` says what to do."""

    def __init__(self, node: str, op_type: str, reason: str, advice: str) -> None:
        super().__init__(f"tflite: node {node} ({op_type}): {reason}; {advice}")
        self.node = node
        self.op_type = op_type
        self.reason = reason
        self.advice = advice


class UnplannedTensorError(TfliteError):
    """An integer form needs the range of a tensor that the plan does not list."""

    def __init__(self, tensor: str, node: str) -> None:
        super().__init__(
            f"tflite: tensor {tensor} of node {node}: expected its range in the quantization plan, found none; "
            "calibrate with samples that reach it, or compile for a target that also computes in float"
        )
        self.tensor = tensor
        self.node = node
