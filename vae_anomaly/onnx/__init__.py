"""The score as an ONNX graph, and scoring by onnxruntime."""
