"""S3 credentials of tasks: an Airflow connection's, where there is one, else those of the AWS chain."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from carpipe.errors import AccessError, ConfigError
from carpipe_airflow.deployment import deployment

if TYPE_CHECKING:
    from carpipe.s3_access import Access


def find_access() -> "Access | None":
    """Credentials, region and endpoint of the connection; None where there is none, so the AWS chain counts.

    Nothing of it is written anywhere: no log, XCom or manifest.

    Raises:
        ConfigError: there is no connection of the name that `CARPIPE_S3_CONNECTION` gives, or it turns verification
            off.
    """
    chosen = deployment()
    if not chosen.connection:
        return None
    try:
        Connection.get(chosen.connection)
    except AirflowNotFoundException:
        if chosen.connection_named:
            raise ConfigError(
                f"There is no Airflow connection {chosen.connection!r}, which CARPIPE_S3_CONNECTION names; "
                "add it, or set the variable to nothing to use the AWS chain."
            ) from None
        return None
    return _access_by(chosen.connection)


def _access_by(connection: str) -> "Access":
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from carpipe.s3_access import Access, asking

    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=connection, client_type="s3")
    session = hook.get_session()
    credentials = session.get_credentials()
    if credentials is None:
        raise AccessError(
            f"The Airflow connection {connection!r} has no credentials, and the AWS chain has none either."
        )

    endpoint = hook.conn_config.get_service_endpoint_url("s3") or ""
    if hook.verify is False and not endpoint.startswith("http://"):
        raise ConfigError(
            f"The Airflow connection {connection!r} says `verify`: false, but the S3 server's certificate is always "
            "verified. Give `verify` the path of its authority's PEM file."
        )
    return Access(
        asking(credentials),
        region=session.region_name or "",
        endpoint=endpoint,
        ca_bundle=hook.verify if isinstance(hook.verify, str) else "",
    )
