"""Pages inside Airflow. HTTP and rights only; what they show is computed in carpipe.steps."""

# Where Airflow mounts the pages.
MOUNT = "/carpipe"
# The plugin in Airflow's navigation: its pages are also at /plugin/<name>/<their path>, in Airflow's frame.
NAME = "carpipe"
