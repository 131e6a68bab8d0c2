"""The demo: `python app.py`, `gradio app.py`, or a Gradio Space. Flags: `python app.py --help`."""

import argparse
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

try:  # ZeroGPU patches torch and must come first; the package exists only there
    import spaces  # noqa: F401
except ImportError:
    pass

from hired.errors import HiredError
from hired.web.engine import Engine
from hired.web.page import build, launch_options

engine = Engine()
demo = build(engine)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="LLaVA-NeXT with and without HiRED, side by side.")
    parser.add_argument(
        "--model", default="shapes", help="a name from the allow-list or a directory"
    )
    parser.add_argument("--quantization", choices=["8bit", "4bit"], help="through bitsandbytes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--dtype", default="auto", help="auto, float32, float16 or bfloat16")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    )
    parser.add_argument("--share", action="store_true", help="ask Gradio for a public link")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Load the model, serve the page; errors are one sentence."""
    args = parse(arguments)
    engine.name = args.model
    engine.options = {
        "quantization": args.quantization,
        "device": args.device,
        "dtype": args.dtype,
    }
    engine.may_switch = args.host in ("127.0.0.1", "localhost") and not args.share
    print(f"Loading {args.model} ...", flush=True)
    try:
        engine.get()
    except HiredError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        _, _, share_url = demo.launch(
            server_name=args.host,
            server_port=args.port,
            share=args.share,
            quiet=True,
            prevent_thread_lock=True,
            **launch_options(),
        )
    except OSError:
        print(
            f"Port {args.port} is taken. Choose another one: python app.py --port {args.port + 1}",
            file=sys.stderr,
        )
        return 1
    print(f"Open http://{args.host}:{args.port}  (Ctrl+C ends it)", flush=True)
    if args.share:
        print(
            share_url or "No public link: Gradio's share server could not be reached.", flush=True
        )
    demo.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
