"""The stages: functions over a photo table that know nothing of Airflow, retries or manifests."""
