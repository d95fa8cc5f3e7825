"""A model server as a child process, started by `serving.server.process`; people run `tintype serve`.

python -m serving.server OPTIONS, these being the arguments of `run_server` as a JSON object.
"""

import json
import sys

from photo.errors import TintypeError
from serving.server.options import ServerOptions
from serving.server.run import run_server

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    try:
        run_server(ServerOptions(**arguments.pop("options")), **arguments)
    except TintypeError as error:
        sys.exit(f"error: {error}")
