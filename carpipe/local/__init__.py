"""What runs on one machine so that `make run` needs nothing else: an S3 server and Airflow, both on loopback.

Every process started here carries `CARPIPE_LOCAL=<folder of its service>` in its environment. That mark,
not a remembered process id, is what tells our processes from everybody else's.
"""
