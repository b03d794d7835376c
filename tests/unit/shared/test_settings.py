"""Settings come from the environment, secrets from files, and what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.settings import Environment, Settings, SettingsError, load_settings


def test_production_refuses_a_stepped_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BANKA_CLOCK_FILE", str(tmp_path / "clock"))
    monkeypatch.delenv("BANKA_ENVIRONMENT", raising=False)
    with pytest.raises(SettingsError, match="production refuses it") as refused:
        load_settings("intake")
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("BANKA_ENVIRONMENT", "demo")
    assert load_settings("intake").stepped


def test_a_wrong_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKA_HTTP_PORT", "s3cr3t")
    with pytest.raises(SettingsError, match="BANKA_HTTP_PORT") as refused:
        load_settings("intake")
    assert "s3cr3t" not in str(refused.value)


def test_a_database_address_must_not_name_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKA_POSTGRES_DSN", "postgresql://root:pw@db:5432")
    with pytest.raises(SettingsError, match="names no user"):
        load_settings("intake")


def test_each_role_has_its_own_password(tmp_path: Path) -> None:
    (tmp_path / "postgres-intake_app").write_text("p@ss/word\n")
    settings = Settings(
        service="intake", postgres_dsn="postgresql://127.0.0.1:5432", secrets_dir=tmp_path
    )
    url = settings.postgres_url("banka_intake", "intake_app")
    assert url == "postgresql://intake_app:p%40ss%2Fword@127.0.0.1:5432/banka_intake"
    assert settings.kafka_user == "intake"


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_missing_secret_names_its_file_and_how_to_make_it(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "bank-key").write_text(content)
    with pytest.raises(SettingsError, match="openssl rand -base64 32") as refused:
        Settings(secrets_dir=tmp_path).secret("bank-key")
    assert str(tmp_path / "bank-key") in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_setting_that_is_needed_is_asked_for_by_name() -> None:
    with pytest.raises(SettingsError, match="BANKA_BUREAU_URL"):
        Settings(environment=Environment.TEST, bureau_url="").required("bureau_url")


def test_an_unknown_zone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKA_BUSINESS_ZONE", "Asia/Beijing-ish")
    with pytest.raises(SettingsError, match="time zone"):
        load_settings("intake")


def test_production_looks_at_some_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BANKA_ENVIRONMENT", raising=False)
    monkeypatch.setenv("BANKA_SAMPLED_SHARE", "0")
    with pytest.raises(SettingsError, match="sampled_share 0"):
        load_settings("review")
    monkeypatch.setenv("BANKA_SAMPLED_SHARE", "0.02")
    assert load_settings("review").sampled_share == 0.02
