"""The inspection page and its REST API: `python -m zerostart.serve [--port 8000 --host 127.0.0.1 --token … --store FOLDER]`."""

import argparse
import resource
import signal
from pathlib import Path
from types import FrameType

import uvicorn

from zerostart.errors import InputError, run_stage
from zerostart.serving.app import make_app
from zerostart.serving.connections import Connection
from zerostart.serving.guards import is_loopback
from zerostart.serving.parts import Places
from zerostart.serving.service import Limits, Service
from zerostart.serving.store import Store

DRAIN = 20
"""Seconds that requests have to end once the server is told to."""
MOST_CONNECTIONS = 1000
LEAST_TOKEN = 16


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.serve", description="The inspection page and its REST API.")
    parser.add_argument("--host", default="127.0.0.1", help="another address than this machine's own needs --token")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--token", help=f"what clients must know, at least {LEAST_TOKEN} characters")
    parser.add_argument("--token-file", type=Path, help="the same, from a file: arguments are seen by all users of a machine")
    parser.add_argument("--store", type=Path, default=Path("inspections"), help="of pictures, answers and verdicts")
    parser.add_argument("--checkpoint", type=Path, help="of the pipeline, or of save_pretrained")
    parser.add_argument("--index", type=Path, default=Path("data/retrieval/index"))
    parser.add_argument("--tagger", type=Path, default=Path("models/tagging/toolbox"))
    parser.add_argument("--runtime", choices=("onnx", "torch"), default="onnx", help="of the detector; default: onnx")
    parser.add_argument("--queue", type=int, default=Limits.waiting, help="requests that may wait; more are told to come again")
    args = parser.parse_args()
    for name, low, high in (("port", 0, 65535), ("queue", 1, 10_000)):
        if not low <= getattr(args, name) <= high:
            raise InputError(f"--{name} is {getattr(args, name)}; {low} to {high} is expected")
    if args.token_file is not None:
        args.token = _token(args.token_file)
    if args.token is not None and (len(args.token) < LEAST_TOKEN or not args.token.isascii()):
        raise InputError(f"the token has {len(args.token)} characters; at least {LEAST_TOKEN} of ASCII are expected")
    if args.token is None and not is_loopback(args.host):
        raise InputError(
            f"--host {args.host}: whoever reaches this address could read every picture; --token is expected beside it"
            " (127.0.0.1, this machine alone, needs none)"
        )
    return args


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); a file with the token is expected") from None


def _allow_connections() -> None:
    """Each takes a descriptor, and many systems begin with a limit of 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


class DrainingServer(uvicorn.Server):
    """Told to end, it answers what was begun; that is its normal end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn's, which would raise the signal once more when all is done. A second Ctrl-C does not wait."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def main() -> None:
    args = _arguments()
    _allow_connections()
    store = Store(args.store)
    service = Service(
        Places(args.checkpoint, args.index, args.tagger), args.store / "graphs", args.runtime, Limits(waiting=args.queue)
    )
    app = make_app(service, store, args.token)
    config = uvicorn.Config(
        app,
        args.host,
        args.port,
        http=Connection,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN,
    )
    sockets = [config.bind_socket()]
    sockets[0].listen(config.backlog)  # who follows the printed address at once waits, and is not refused
    host, port = sockets[0].getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    try:
        DrainingServer(config).run(sockets)
    finally:
        store.close()


if __name__ == "__main__":
    run_stage(main)
