"""Steps from a dataset to live weights: train, evaluate, package, gate, publish."""
