"""Models and their training: the only package that knows keras and tensorflow."""
