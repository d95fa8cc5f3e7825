"""Where ML Metadata are kept, as a connection string: SQLite or MySQL."""

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pipeline.config import ConfigError

if TYPE_CHECKING:
    from ml_metadata.proto import metadata_store_pb2

_MYSQL_PORT = 3306
# The parameters of a connection string that ML Metadata's TLS settings know, by MySQL's own names.
_TLS_OPTIONS = {"ssl_ca": "ca", "ssl_cert": "cert", "ssl_key": "key", "ssl_cipher": "cipher"}
METADATA_PASSWORD = "TINTYPE_METADATA_PASSWORD"
_FORMS = "sqlite:////folder/file or mysql://user@host/database"


def metadata_of_installation(setting: str, folder: str) -> "metadata_store_pb2.ConnectionConfig":
    """ML Metadata of an Airflow installation.

    Args:
        setting: a connection string without a password, which TINTYPE_METADATA_PASSWORD holds; the id of an Airflow
            Connection, which holds everything; or "".
        folder: where an SQLite file is kept if `setting` is ""; made when it is not there.

    Raises:
        ConfigError: what is wrong with `setting`.
    """
    if "://" in setting:
        if _has_password(setting):
            raise ConfigError(
                "the connection string of the metadata must hold no password, because Airflow shows it; put it into "
                f"{METADATA_PASSWORD} in the workers' environment, or name an Airflow Connection instead"
            )
        return metadata_connection(setting, os.environ.get(METADATA_PASSWORD))
    if setting:
        from airflow.exceptions import AirflowNotFoundException
        from airflow.hooks.base import BaseHook

        try:
            return metadata_connection(BaseHook.get_connection(setting).get_uri())
        except AirflowNotFoundException:
            raise ConfigError(
                f"the metadata are neither {_FORMS} nor an Airflow Connection's id; got {setting!r}"
            ) from None
    if "://" in folder:
        raise ConfigError(f"metadata in SQLite cannot be kept at {folder}; name a database or a file for them")
    os.makedirs(folder, exist_ok=True)
    return metadata_connection(f"sqlite:///{quote(folder)}/metadata.sqlite")


def metadata_connection(url: str, password: str | None = None) -> "metadata_store_pb2.ConnectionConfig":
    """ML Metadata's settings for a connection string.

    PostgreSQL, which ML Metadata has settings for, is refused: version 1.21 writes wrong SQL for every text with a
    backslash, such as the properties that TFX stores as JSON, and the first component fails.

    Args:
        url: `sqlite:////folder/file`, or `mysql://user@host[:port]/database` for MySQL and MariaDB, with `?ssl_ca=`,
            `ssl_cert`, `ssl_key` and `ssl_cipher` for TLS. The database must exist.
        password: of the database's user, in place of one in `url`.

    Raises:
        ConfigError: what is wrong with `url`; a password in it is not repeated.
    """
    from ml_metadata.proto import metadata_store_pb2

    settings = metadata_store_pb2.ConnectionConfig()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose message may quote a part of a password
        raise ConfigError(
            f"the metadata's connection string cannot be read; expected {_FORMS}, special characters as %40"
        ) from None
    kind, database = parts.scheme, unquote(parts.path[1:])
    if kind == "sqlite":
        path = unquote(parts.netloc) or database
        if not path.startswith("/"):
            raise ConfigError(f"metadata in SQLite needs an absolute path, sqlite:////folder/file; got {url!r}")
        settings.sqlite.filename_uri = path
        settings.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return settings
    if kind in ("postgresql", "postgres"):
        raise ConfigError(f"ML Metadata cannot keep what TFX writes in PostgreSQL; expected {_FORMS}")
    if kind != "mysql":
        raise ConfigError(f"metadata cannot be kept in {kind or 'a place without a scheme'!r}; expected {_FORMS}")
    if not parts.hostname or not database or "/" in database:
        raise ConfigError(
            "the metadata's connection string must name a host and a database: mysql://user@host/database"
        )

    server = settings.mysql
    server.host, server.port, server.database = unquote(parts.hostname), port or _MYSQL_PORT, database
    server.user, server.password = unquote(parts.username or ""), password or unquote(parts.password or "")
    server.skip_db_creation = True
    for name, value in parse_qsl(parts.query):
        if name not in _TLS_OPTIONS:
            raise ConfigError(
                f"the metadata's connection string knows {', '.join(_TLS_OPTIONS)} after the ?; got {name}"
            )
        setattr(server.ssl_options, _TLS_OPTIONS[name], value)
    return settings


def _has_password(url: str) -> bool:
    # By hand: a password with a slash in it is one that a parser of URLs does not see.
    credentials, at, _ = url.partition("://")[2].rpartition("@")
    return bool(at) and ":" in credentials
