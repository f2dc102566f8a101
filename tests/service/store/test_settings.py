"""Settings: from the environment, options first, nothing unknown, no secret in an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store.settings import LocalConnection, S3Connection, Settings, SettingsError


def test_without_anything_a_laptop_gets_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({})
    assert settings.database == f"sqlite:///{tmp_path}/bitbudget-data/bitbudget.sqlite"
    assert settings.blobs_dir == tmp_path / "bitbudget-data/blobs"
    assert settings.scratch_dir == tmp_path / "bitbudget-data/scratch"
    assert (settings.host, settings.webhooks, settings.connections) == ("127.0.0.1", False, {})


def test_options_win_over_the_environment() -> None:
    environment = {"BITBUDGET_PORT": "9000", "BITBUDGET_SLOTS": "4", "PATH": "/bin", "BITBUDGET_URL": "http://x"}
    settings = Settings.from_env(environment, port=9001, host=None)
    assert (settings.port, settings.slots, settings.host) == (9001, 4, "127.0.0.1")


def test_a_value_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("postgresql://u:hunter2@h/db\n")
    settings = Settings.from_env({"BITBUDGET_DATABASE_URL_FILE": str(secret)})
    assert settings.database == "postgresql://u:hunter2@h/db"
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError, match=r"BITBUDGET_DATABASE_URL_FILE names .*, which cannot be read"):
        Settings.from_env({"BITBUDGET_DATABASE_URL_FILE": str(tmp_path / "missing")})


def test_connections_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text("lab: {kind: local, path: /data}\ns3-lab: {kind: s3, bucket: models, secret_key: hunter2}\n")
    settings = Settings.from_env({"BITBUDGET_CONNECTIONS": str(path)})
    assert settings.connections["lab"] == LocalConnection(kind="local", path=Path("/data"))
    assert isinstance(settings.connections["s3-lab"], S3Connection)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lab: {kind: local, path: data}", "path must be absolute"),
        ("'a/b': {kind: local, path: /data}", "should match pattern"),
        ("lab: {kind: ftp}", "does not match any of the expected tags"),
        ("lab: {kind: s3, bucket: models, sekret: hunter2}", "there is no such setting"),
        ("lab: [", "is not valid YAML"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
    ],
)
def test_a_bad_connection_is_said_without_its_values(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.from_env({"BITBUDGET_CONNECTIONS": str(path)})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"BITBUDGET_PROT": "1"}, "BITBUDGET_PROT: there is no such setting"),
        ({"BITBUDGET_PORT": "hunter2"}, "BITBUDGET_PORT: Input should be a valid integer"),
        ({"BITBUDGET_DEAD_S": "5"}, "dead_s is 5, it must be at least twice heartbeat_s"),
        ({"BITBUDGET_DATABASE_POOL": "50"}, "BITBUDGET_DATABASE_POOL: Input should be less than or equal to 10"),
    ],
)
def test_a_bad_setting_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.from_env(environment)
    assert "hunter2" not in str(caught.value)
