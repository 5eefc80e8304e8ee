"""Steps from photos under `raw/` to a dataset, in the order in which they run: upload, inventory, plan, clean, filter,
crop, identify, classes, split, validate, pack, dataset. The stage of the same name does the work."""
