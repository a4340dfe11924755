"""The files in deploy/: each names only what exists, and what can run without Docker and Kubernetes does run.

No container engine is used here: images are neither built nor started.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

from posthog_assets_tests.conftest import small_attributes
from posthog_assets_tests.fakes.capture_server import CaptureServer
from posthog_assets_tests.fakes.cluster import service_command
from posthog_assets_tests.fakes.dagster_dev import ROOT, DagsterDev, free_port, until
from posthog_assets_tests.fakes.postgres import Postgres

DEPLOY = ROOT / "deploy"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def environment_read(value: Any) -> set[str]:
    """Return the variables that Dagster's settings read: every `{env: NAME}` in them."""
    if isinstance(value, dict):
        named = {value["env"]} if value.keys() == {"env"} else set()
        return named.union(*(environment_read(item) for item in value.values()))
    return set().union(*(environment_read(item) for item in value)) if isinstance(value, list) else set()


def sample() -> dict[str, str]:
    lines = (DEPLOY / "env.sample").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with what follows them."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


# --- Dockerfile ---------------------------------------------------------------------------------------------


def test_the_image_is_made_of_files_that_exist_and_reach_the_build() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    reach = {line[1:] for line in ignored if line.startswith("!")}
    copied = {source for name, words in dockerfile() if name == "COPY" for source in words.split()[:-1]}
    assert copied == reach
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_image_has_a_pinned_base_known_extras_and_does_not_run_as_root() -> None:
    instructions = dockerfile()
    assert dict(instructions)["FROM"] == "python:3.11.10-slim-bookworm"
    extras = re.search(r'EXTRAS="(.+)"', dict(instructions)["ARG"])
    assert extras
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split()) <= set(known)
    names = [name for name, _ in instructions]
    assert ("USER", "10001") in instructions
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")


# --- compose.yaml, env.sample -------------------------------------------------------------------------------


def test_the_services_name_files_volumes_and_services_that_exist() -> None:
    compose = read("compose.yaml")
    services = compose["services"]
    assert set(services) == {"code", "webserver", "daemon", "postgres", "redis", "worker"}
    assert {name for name, service in services.items() if service.get("profiles")} == {"redis", "worker"}
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        waited_for = [other for other, how in service.get("depends_on", {}).items() if "healthy" in how["condition"]]
        assert all("healthcheck" in services[other] for other in waited_for), name
        named = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith("./")}
        assert named <= set(compose["volumes"]), name
    for deployment in ("postgres", "celery"):
        assert (DEPLOY / deployment / "dagster.yaml").is_file()
    assert (DEPLOY / services["code"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["code"]["build"]["dockerfile"]).is_file()


def test_every_image_has_an_exact_tag() -> None:
    images = {service["image"] for service in read("compose.yaml")["services"].values()}
    assert images == {"posthog-assets:${IMAGE_TAG:?see env.sample}", "postgres:16.4-bookworm", "redis:7.4.1-bookworm"}


def test_the_sample_names_every_variable_that_is_read() -> None:
    given = set(sample())
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) <= given
    for settings in ("postgres/dagster.yaml", "celery/dagster.yaml", "workspace.yaml"):
        assert environment_read(read(settings)) <= given, settings
    assert environment_read(read("celery/dagster.yaml")) >= {"CELERY_BROKER_URL", "DAGSTER_POSTGRES_PASSWORD"}
    # The services' names are the sample's hosts.
    services = read("compose.yaml")["services"]
    assert {sample()["DAGSTER_POSTGRES_HOST"], sample()["CODE_LOCATION_HOST"]} <= set(services)


def test_the_sample_holds_no_credential() -> None:
    assert [name for name, value in sample().items() if value and re.search("PASSWORD|KEY|SECRET", name)] == []


# --- kubernetes ---------------------------------------------------------------------------------------------


def test_helm_values_and_settings_without_helm_say_the_same() -> None:
    values, settings = read("kubernetes/values.yaml"), read("kubernetes/dagster.yaml")
    monitoring, retries = values["dagsterDaemon"]["runMonitoring"], values["dagsterDaemon"]["runRetries"]
    assert settings["run_monitoring"] == {
        "enabled": monitoring["enabled"], "start_timeout_seconds": monitoring["startTimeoutSeconds"],
        "max_runtime_seconds": monitoring["maxRuntimeSeconds"],
        "poll_interval_seconds": monitoring["pollIntervalSeconds"],
    }  # fmt: skip
    assert settings["run_retries"]["max_retries"] == retries["maxRetries"]
    assert settings["concurrency"]["runs"]["max_concurrent_runs"] == values["concurrency"]["runs"]["maxConcurrentRuns"]
    assert settings["concurrency"]["pools"]["default_limit"] == values["concurrency"]["pools"]["defaultLimit"]
    assert settings["storage"]["postgres"]["postgres_db"]["scheme"] == values["postgresql"]["postgresqlScheme"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["image"] == values["dagsterDaemon"]["image"] == values["dagsterWebserver"]["image"]
    assert deployment["image"]["tag"] not in ("", "latest")


# --- dagster.yaml, against a PostgreSQL ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    for module, extra in (("dagster_postgres", "instance"), ("psycopg", "postgres")):
        pytest.importorskip(module, reason=f"needs the extra posthog_assets[{extra}]")
    with Postgres() as server:
        yield server


def variables(server: Postgres) -> dict[str, str]:
    return {
        "DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(server.port),
        "DAGSTER_POSTGRES_USER": "test", "DAGSTER_POSTGRES_PASSWORD": server.password,
        "DAGSTER_POSTGRES_DB": "postgres",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0", "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/0",
        "DAGSTER_K8S_SERVICE_ACCOUNT": "dagster", "DAGSTER_K8S_INSTANCE_CONFIG_MAP": "dagster-instance",
    }  # fmt: skip


@contextmanager
def opened(
    settings: str, folder: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance with the settings of one deployment."""
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    text = (DEPLOY / settings / "dagster.yaml").read_text()
    if settings == "kubernetes":
        # Outside a cluster there is no service account to read.
        assert "load_incluster_config: true" in text
        (folder / "kubeconfig").write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: none\n"
            "clusters: [{name: none, cluster: {server: 'http://127.0.0.1:1'}}]\n"
            "users: [{name: none, user: {}}]\ncontexts: [{name: none, context: {cluster: none, user: none}}]\n"
        )
        elsewhere = f"load_incluster_config: false\n    kubeconfig_file: {folder}/kubeconfig"
        text = text.replace("load_incluster_config: true", elsewhere)
    (folder / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        yield instance


LAUNCHERS = {"postgres": "DefaultRunLauncher", "celery": "CeleryRunLauncher", "kubernetes": "K8sRunLauncher"}


@pytest.mark.parametrize("settings", LAUNCHERS)
def test_dagster_opens_with_the_settings_and_keeps_its_record_in_postgresql(
    settings: str, server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"celery": "dagster_celery", "kubernetes": "dagster_k8s"}.get(settings, "dagster"))
    with opened(settings, tmp_path, server, monkeypatch) as instance:
        assert type(instance.run_launcher).__name__ == LAUNCHERS[settings]
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert instance.global_op_concurrency_default_limit in (2, 4)
        run = instance.create_run_for_job(dg.job(name="nothing")(lambda: None))
        assert server.run("SELECT run_id FROM runs ORDER BY id DESC LIMIT 1") == [(run.run_id,)]
        # The server's own clock is in New York.
        record = instance.get_run_record_by_id(run.run_id)
        assert record
        assert abs(record.create_timestamp.timestamp() - time.time()) < 60
        instance.delete_run(run.run_id)
    assert list(tmp_path.rglob("*.db")) == []


# --- the services, as processes on this machine -------------------------------------------------------------


class Services(DagsterDev):
    """Code location, web server and daemon as compose.yaml starts them, but for addresses and the module's name."""

    def __enter__(self) -> Self:
        port, code = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        workspace = (DEPLOY / "workspace.yaml").read_text()
        (self.folder / "workspace.yaml").write_text(workspace.replace("4000", str(code)))
        here = {"0.0.0.0": "127.0.0.1"}
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start("code", here | {"4000": str(code), "posthog_assets.definitions": "shop_project.definitions"})
            until("the code location is up", lambda: self._is_healthy(code))
            self._start("webserver", here | {"3000": str(port)})
            self._start("daemon", {})
            until("the web server has its code location", self._is_ready)
        except BaseException:
            self._stop()
            raise
        return self

    def _start(self, service: str, changes: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                service_command(service, changes), cwd=self.folder, env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._processes.append(self._process)

    def launch_on_the_command_line(self, day: str) -> None:
        command = f"job backfill -w workspace.yaml -j import_small --from {day} --to {day} --noprompt"
        done = subprocess.run(
            [Path(sys.executable).parent / "dagster", *command.split()], cwd=self.folder, env=self.environment(),
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def _is_healthy(self, port: int) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        program, *arguments = read("compose.yaml")["services"]["code"]["healthcheck"]["test"].split()
        command = [str(Path(sys.executable).parent / program), *arguments[:-1], str(port)]
        return subprocess.run(command, env=self.environment(), capture_output=True).returncode == 0

    def _stop(self) -> None:
        for process in self._processes:
            self._process = process
            super()._stop()


def test_the_services_of_compose_import_a_day(server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/2024-03-01.jsonl").write_text(
        '{"id": "1", "user": "ann", "at": "2024-03-01T10:00:00Z", "what": "page"}\n'
    )
    environment = variables(server) | {"CODE_LOCATION_HOST": "127.0.0.1"}
    with CaptureServer() as posthog:
        attributes = small_attributes(
            tmp_path, end_date="2024-03-01", destination={"host": posthog.url, "project_api_key": "phc_any"}
        )
        text = yaml.safe_dump({"type": "posthog_assets.HistoricalImport", "attributes": attributes})
        settings = DEPLOY / "postgres/dagster.yaml"
        with Services(tmp_path / "project", {"small": text}, environment, settings) as services:
            services.launch_on_the_command_line("2024-03-01")
            (queued,) = services.runs("small")
            run = services.finished_run(queued.id)
        assert (run.day, run.status, len(posthog.stored)) == ("2024-03-01", "SUCCESS", 1)
