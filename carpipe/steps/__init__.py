"""Steps: commands that find their input manifest, run a stage and commit. Airflow and the CLI call them.

Importing this package is cheap: stages, and the heavy libraries behind them, are imported by the step
that needs them, when it runs.
"""
