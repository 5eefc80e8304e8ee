"""carpipe inside Airflow: what DAGs and tasks share, who is told of what, and the pages.

No plugin itself, that is `carpipe_plugin`. `.airflowignore` keeps Airflow from loading these files one by one.
"""
