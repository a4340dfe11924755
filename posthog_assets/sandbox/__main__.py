"""`python -m posthog_assets.sandbox`: the server as a process of its own."""

import argparse
import sys
from pathlib import Path

from posthog_assets.sandbox import SandboxFailed, serve

parser = argparse.ArgumentParser(prog="python -m posthog_assets.sandbox")
parser.add_argument("--port", type=int, default=8010)
parser.add_argument("--data", type=Path, default=None)
parser.add_argument("--project-key", default=None)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--v1", choices=["on", "unconfigured", "absent"], default="on")
parser.add_argument("--most-rows", type=int, default=50_000)

if __name__ == "__main__":
    arguments = parser.parse_args()
    try:
        sys.exit(serve(**vars(arguments)))
    except SandboxFailed as failed:
        sys.exit(str(failed))
