"""What deploy/ and systemd/ describe: schemas of those who read it, options that the command has, and nothing left open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.fleet.server import ROOT, environment

DEPLOY = ROOT / "deploy"
# Of 10; 0 is a service that may do nothing.
MAX_EXPOSURE = 1.3


def documents() -> Iterator[tuple[str, Any]]:
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] != "Kustomization":
                yield f"{file.name}: {document['kind']} {document['metadata']['name']}", document


def pods() -> list[tuple[str, Any]]:
    return [(name, found["spec"]["template"]["spec"]) for name, found in documents() if found["kind"] == "StatefulSet"]


def options_of_up() -> set[str]:
    command = (sys.executable, "-m", "cli", "fleet", "up", "--help")
    said = subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=True, timeout=180).stdout
    return set(re.findall(r"--[a-z-]+", said))


@pytest.mark.parametrize(("name", "document"), list(documents()))
def test_a_kubernetes_document_is_one_and_says_nothing_that_would_be_ignored(name: str, document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_all_documents_are_named_in_the_kustomization() -> None:
    named = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert {*named, "kustomization.yaml"} == {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")}


@pytest.mark.parametrize(("name", "pod"), pods())
def test_a_pod_runs_as_nobody_special(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"]


def test_servers_are_started_with_options_that_there_are() -> None:
    known = options_of_up()
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    lines = [service["command"] for name, service in compose.items() if name.startswith("server-")]
    lines += [container["args"] for _, pod in pods() for container in pod["containers"] if container["image"] == "fieldfare-server"]
    assert len(lines) == 3
    for line in lines:
        assert {word.partition("=")[0] for word in line if word.startswith("--")} <= known


def test_compose_takes_the_stack_once_it_has_a_name_and_a_password() -> None:
    command = (sys.executable, "-m", "podman_compose", "--file", str(DEPLOY / "compose.yaml"), "config")
    named = {**os.environ, "PUBLIC_NAME": "fleet.example", "POSTGRES_PASSWORD": "secret"}
    done = subprocess.run(command, env=named, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == {"server-a", "server-b", "broker", "balancer", "postgres"}
    nameless = {key: value for key, value in named.items() if key != "PUBLIC_NAME"}
    refused = subprocess.run(command, env=nameless, capture_output=True, text=True, check=False, timeout=180)
    assert refused.returncode != 0
    assert "the name by which devices reach this machine" in refused.stderr


def test_the_server_as_a_service_may_do_little() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = ROOT / "systemd" / "fieldfare-fleet.service"
    command = ("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180).stdout
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= MAX_EXPOSURE


def test_what_holds_secrets_is_kept_out_of_the_repository() -> None:
    for path in ("deploy/.env", "deploy/kubernetes/secrets/database-url"):
        assert subprocess.run(("git", "check-ignore", "--quiet", path), cwd=ROOT, check=False).returncode == 0


def test_images_are_built_of_this_checkout_alone() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(?:--chmod=\S+ )?(\S+) ", text, re.MULTILINE)
    assert copied
    assert all((ROOT / path).exists() for path in copied)
    ignored = set(Path(ROOT / ".containerignore").read_text().split())
    assert {".git", "tests"} <= ignored
