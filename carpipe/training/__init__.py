"""Models and their training: the only package that knows keras and tensorflow."""

import os

# TensorFlow's C++ side logs an "error" on every machine without a GPU. What goes wrong raises anyway.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
