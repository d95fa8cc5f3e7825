"""Connection strings of ML Metadata: what each becomes, and what is refused without repeating a password."""

import pytest

from pipeline.config import ConfigError
from pipeline.runners.metadata_connection import METADATA_PASSWORD, metadata_connection, metadata_of_installation


def test_sqlite_is_a_file_by_its_absolute_path():
    assert metadata_connection("sqlite:////runs/a%20b/m.sqlite").sqlite.filename_uri == "/runs/a b/m.sqlite"


def test_mysql_by_host_port_and_database():
    server = metadata_connection("mysql://user:p%2Fss@127.0.0.1:3307/mlmd?ssl_ca=/ca.pem").mysql
    assert (server.host, server.port, server.database) == ("127.0.0.1", 3307, "mlmd")
    assert (server.user, server.password, server.ssl_options.ca) == ("user", "p/ss", "/ca.pem")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///m.sqlite", "absolute path"),
        ("oracle://user@host/mlmd", "'oracle'.*sqlite"),
        ("mysql://user:geheim@host", "host and a database"),
        ("postgresql://user:geheim@host/mlmd", "PostgreSQL.*mysql://"),
        ("postgres://user:geheim@host/mlmd", "PostgreSQL.*mysql://"),
        ("mysql://user:geheim@/mlmd", "host and a database"),
        ("mysql://user:geheim@host/mlmd?sslmode=require", "ssl_ca.*got sslmode"),
        ("mysql://user:geheim/und@host/mlmd", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_a_password(url, message):
    with pytest.raises(ConfigError, match=message) as refused:
        metadata_connection(url)
    assert "geheim" not in str(refused.value)


def test_without_a_setting_the_metadata_lie_beside_the_artifacts(tmp_path):
    folder = tmp_path / "a #1 run"
    assert metadata_of_installation("", str(folder)).sqlite.filename_uri == f"{folder}/metadata.sqlite"
    assert folder.is_dir()
    with pytest.raises(ConfigError, match="gs://bucket"):
        metadata_of_installation("", "gs://bucket/runs")


def test_the_password_stands_in_the_environment_not_in_the_setting(monkeypatch):
    monkeypatch.setenv(METADATA_PASSWORD, "geheim")
    assert metadata_of_installation("mysql://user@host/mlmd", "").mysql.password == "geheim"
    for url in ("mysql://user:geheim@host/mlmd", "postgresql://user:ge/heim@host/mlmd"):
        with pytest.raises(ConfigError, match=METADATA_PASSWORD) as refused:
            metadata_of_installation(url, "")
        assert "heim" not in str(refused.value)
