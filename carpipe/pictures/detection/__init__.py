"""Vehicles found in photos and cut out, for the pipeline and for those who serve its weights.

In reading order:

- detector: weights in, the largest vehicle of a photo out. cut: what is cut out.
- files, checkpoint_pickle, onnx_file, openvino_file: which files are taken as detectors, and what is in them.
- description: what a model says of itself, or the settings in its place: its input, its outputs, its classes.
- letterbox: pictures as networks want them. outputs: boxes from what networks give.
- openvino_runtime: runs them, without ultralytics. ultralytics_runtime: the only module that knows ultralytics
  (AGPL-3.0): runs checkpoints on a GPU and `.tflite`, and converts checkpoints for OpenVINO.
"""
