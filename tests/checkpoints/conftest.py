"""A hub of our own: its cache with small random models under the true names, and its web server."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import small_repositories
from huggingface_hub import constants

from edudiff.checkpoints.table import MODELS, FullSize

STABLE_DIFFUSION = MODELS["stable-diffusion"].full


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository of Stable Diffusion 1.5, with small random weights."""
    folder = tmp_path_factory.mktemp("stable-diffusion")
    small_repositories.save_stable_diffusion(folder)
    return folder


@pytest.fixture(scope="session")
def vae_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vae")
    small_repositories.save_vae(folder)
    return folder


@pytest.fixture(scope="session")
def clip_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    small_repositories.save_clip(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME, and no network. (huggingface_hub reads the environment only once.)"""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hf"


Fill = Callable[[FullSize, Path], Path]


@pytest.fixture
def fill(home: Path) -> Fill:
    """Put a folder into the cache as the hub's own library would, and return the snapshot."""
    return partial(small_repositories.fill, home)


@dataclass
class WebHub:
    """What the stand-in for huggingface.co serves, and what was asked of it.

    Attributes:
        full: the repository and revision there is.
        repository: the folder with its files.
        refuses: None, or the error code that every answer carries, such as "GatedRepo".
        cuts: files of which only the first half is sent.
        fetched: the files that were downloaded, or begun.
    """

    full: FullSize
    repository: Path
    refuses: str | None = None
    cuts: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)


def serve(hub: WebHub) -> ThreadingHTTPServer:
    tree = f"/api/models/{hub.full.repository}/tree/{hub.full.revision}"
    resolve = f"/{hub.full.repository}/resolve/{hub.full.revision}/"

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            file = hub.repository / path.removeprefix(resolve)
            if hub.refuses:
                status = 403 if hub.refuses == "GatedRepo" else 404
                self.reply(status, b"", {"X-Error-Code": hub.refuses}, with_body)
            elif path == tree:
                self.reply(200, json.dumps(self.tree()).encode(), {}, with_body)
            elif path.startswith(resolve) and file.is_file():
                body = file.read_bytes()
                name = path.removeprefix(resolve)
                if with_body:
                    hub.fetched.append(name)
                tag = hashlib.sha256(body).hexdigest()
                headers = {"ETag": f'"{tag}"', "X-Repo-Commit": hub.full.revision}
                self.reply(200, body, headers, with_body, cut=name in hub.cuts)
            else:
                self.reply(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)

        def tree(self) -> list[dict[str, object]]:
            files = sorted(file for file in hub.repository.rglob("*") if file.is_file())
            return [
                {
                    "type": "file",
                    "path": file.relative_to(hub.repository).as_posix(),
                    "size": file.stat().st_size,
                    "oid": hashlib.sha256(file.read_bytes()).hexdigest(),
                }
                for file in files
            ]

        def reply(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str],
            with_body: bool,
            cut: bool = False,
        ) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def web(home: Path, stable_diffusion: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebHub]:
    """The hub on the network, with Stable Diffusion's repository and an empty cache here."""
    hub = WebHub(STABLE_DIFFUSION, stable_diffusion)
    server = serve(hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    point_to(endpoint, monkeypatch)
    yield hub
    server.shutdown()
    server.server_close()


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def nobody_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network without the hub."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    point_to(f"http://127.0.0.1:{port}", monkeypatch)
