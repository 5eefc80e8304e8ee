"""Pages inside Airflow: Data, Labels, Weights. HTTP and rights only; what they show is computed in carpipe.steps."""

# Where Airflow mounts the pages.
MOUNT = "/carpipe"
